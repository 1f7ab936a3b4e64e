#include "results/merge.h"

#include "results/file.h"

#include <fmt/format.h>

#include <unordered_map>

namespace chunkkv::results {
namespace {

struct FirstSeen {
  std::size_t offset, length;  ///< of the line in the merged text
  std::string place;
};

}  // namespace

Merged merge_results(std::span<const std::string> paths) {
  Merged merged;
  std::unordered_map<std::string, FirstSeen> known;
  for (const std::string& path : paths) {
    const auto take = [&](const Json& line, std::size_t number) {
      const std::string place = fmt::format("'{}', line {}", path, number);
      const std::string text = to_text(line);
      const auto [found, is_new] =
          known.try_emplace(result_key(line), FirstSeen{merged.text.size(), text.size(), place});
      if (is_new) {
        merged.text += text;
        ++merged.n_lines;
        return;
      }
      ++merged.n_duplicates;
      const FirstSeen& first = found->second;
      if (!same_result(parse_line(std::string_view(merged.text).substr(first.offset, first.length)), line))
        merged.conflicts.push_back(fmt::format("{} differs from {}", place, first.place));
    };
    if (read_results(path, take).is_cut) merged.cut.push_back(path);
  }
  return merged;
}

}  // namespace chunkkv::results
