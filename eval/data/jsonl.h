#pragma once

#include "data/record.h"

#include <cstdint>
#include <filesystem>
#include <vector>

namespace chunkkv::eval {

/// A file of one JSON object per line, also as Python writes it (see standard_json); blank lines and blanks
/// around a line are ignored. The object stores where the lines are, not what they contain.
class JsonLines {
 public:
  /// Error when the file cannot be read.
  explicit JsonLines(std::filesystem::path file);

  std::size_t size() const { return lines_.size(); }
  /// BrokenRecord when the line is no JSON object in UTF-8; Error when the file changed and cannot be read.
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
