#pragma once

#include "data/record.h"

#include <cstdint>
#include <filesystem>
#include <vector>

namespace chunkkv::eval {

/// A file of one JSON object a line, as Python writes it too (see standard_json); blank lines and blanks
/// around a line do not count. Holds where the lines are, not what is in them.
class JsonLines {
 public:
  /// Error when the file cannot be read.
  explicit JsonLines(std::filesystem::path file);

  std::size_t size() const { return lines_.size(); }
  /// BrokenRecord when the line is no JSON object in UTF-8.
  Record at(std::size_t index) const;

 private:
  struct Line {
    std::uint64_t offset;
    std::uint64_t length;
    std::size_t number;
  };

  std::filesystem::path file_;
  std::vector<Line> lines_;
};

}  // namespace chunkkv::eval
