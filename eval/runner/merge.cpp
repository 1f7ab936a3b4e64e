#include "runner/merge.h"

#include "runner/result_file.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <unordered_map>

namespace chunkkv::eval {
namespace {

struct Found {
  std::size_t offset, length;  ///< of the line in the merged text
  std::string place;
};

}  // namespace

Merged merge_results(std::span<const std::string> paths) {
  Merged merged;
  std::unordered_map<std::string, Found> known;
  for (const std::string& path : paths) {
    const auto take = [&](const Json& line, std::size_t number) {
      const std::string place = fmt::format("'{}', line {}", path, number);
      const std::string text = to_text(line);
      const auto [found, is_new] =
          known.try_emplace(result_key(line), Found{merged.text.size(), text.size(), place});
      if (is_new) {
        merged.text += text;
        ++merged.n_lines;
        return;
      }
      ++merged.n_duplicates;
      const Found& first = found->second;
      if (!same_result(parse_line(std::string_view(merged.text).substr(first.offset, first.length)), line))
        merged.conflicts.push_back(fmt::format("{} differs from {}", place, first.place));
    };
    std::size_t n_lines = 0;
    const std::string rest = read_results(path, [&](const Json& line, std::size_t number) {
      n_lines = number;
      take(line, number);
    });
    if (rest.empty()) continue;
    if (!may_begin_line(rest))
      throw Error(fmt::format("line {} of '{}' is not a line of results", n_lines + 1, path));
    if (Json::accept(rest))
      take(parse_line(rest), n_lines + 1);
    else
      merged.cut.push_back(path);
  }
  return merged;
}

}  // namespace chunkkv::eval
