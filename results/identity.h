#pragma once

#include "results/line.h"

#include <cstdint>
#include <optional>
#include <string>

/// The columns that identify a measurement, in lines of every kind.
namespace chunkkv::results {

/// Where a line comes from.
struct Origin {
  std::string model;       ///< file name
  std::string model_hash;  ///< empty where the line has none; the file name then tells models apart
  std::string version;
  std::string machine;
  std::optional<std::int64_t> seed;
};

/// A key that is equal for lines of the same model.
std::string model_key(const Origin& origin);

/// What was done to the cache: a method's canonical spec and a canonical budget.
struct Pair {
  std::string method;
  std::string keep;

  auto operator<=>(const Pair&) const = default;
};

/// Lines of different settings are never averaged.
struct Setting {
  std::string benchmark;
  bool query_aware = true;      ///< the question was read before the cache was compressed
  std::int64_t cells = 0;       ///< cells of a bounded prefill; 0: the whole prompt was in the cache
  std::int64_t max_length = 0;  ///< prompts were cut to this many tokens; 0: not cut
  std::string others = {};      ///< other settings that were not at their defaults: "n=16 ctk=q8_0"

  auto operator<=>(const Setting&) const = default;
};

/// The columns that identify a sample within its setting.
struct Sample {
  std::string task;
  std::string group;  ///< task type
  std::string id;
  std::int64_t question = 0;  ///< number of the question on its document, from 0
  std::string data = {};      ///< digest of what was asked; empty where the line has none

  /// A key of the record, equal for all questions on one document.
  std::string record() const { return id + '\x1e' + data; }
};

/// Identifies the measurement of one sample, without the digest of its data.
std::string sample_key(const Origin& origin, const Setting& setting, const Sample& sample, const Pair& pair);

/// The columns of a line that identify the measurement of one sample. `window`: tokens of the method's window
/// that a small budget left; 0: all, and no such column.
Json identity_columns(const Origin& origin, const Setting& setting, const Sample& sample, const Pair& pair,
                      std::int32_t window);
/// Adds model, version and machine.
void add_origin(Json& line, const Origin& origin);

}  // namespace chunkkv::results
