#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace chunkkv::report {

/// How a figure is written.
enum class Unit : std::uint8_t {
  points,        ///< 0 .. 1, written as 0 .. 100
  plain,         ///< written as it is
  milliseconds,  ///< milliseconds
  bytes,         ///< bytes
  rate           ///< tokens a second
};

/// Which values of a figure are better.
enum class Better : std::uint8_t { higher, lower, neither };

/// A figure that lines of results carry.
struct Figure {
  const char* key;    ///< its name in the lines and in the page's data
  const char* title;  ///< for readers
  Unit unit;
  Better better;
};

/// Distances between a compressed cache and the full one.
std::span<const Figure> fidelity_figures();
/// Times and memory of one repetition.
std::span<const Figure> speed_figures();

/// 12345 as "12,345".
std::string grouped(std::int64_t number);

/// "points", "plain", "ms", "bytes" or "rate".
std::string_view unit_name(Unit unit);
/// "higher", "lower" or "" for neither.
std::string_view better_name(Better better);

/// The benchmark's place in a report; unknown ones come last.
std::size_t benchmark_place(std::string_view benchmark);
/// The benchmark's own name: "LongBench" for "longbench"; other names stay as they are.
std::string_view benchmark_title(std::string_view benchmark);
/// "score", or a precise name where "score" could be misread. `is_judged`: a model judged the answers.
std::string_view score_title(std::string_view benchmark, bool is_judged);
/// A note for readers on the benchmark's scores; may be empty.
std::string_view benchmark_note(std::string_view benchmark, bool is_judged);

}  // namespace chunkkv::report
