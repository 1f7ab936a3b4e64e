#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// Reads a CSV file (RFC 4180: fields in quotes may hold commas, line breaks and doubled quotes) row by row.
/// Blank lines, blanks before a row and blanks after a closing quote are skipped.
class CsvReader {
 public:
  /// Error when the file cannot be read.
  explicit CsvReader(std::filesystem::path file);

  /// Reads the next row into `fields`; false at the end of the file. BrokenRecord when a quote is never
  /// closed or text follows a closing quote; the next call then starts with the next line.
  bool next(std::vector<std::string>& fields);

  /// Byte offset and line, from 1, of the row that was read last.
  std::uint64_t offset() const { return offset_; }
  std::size_t line() const { return line_; }

  /// Makes the row at this offset and line the next one to be read.
  void seek(std::uint64_t offset, std::size_t line);

 private:
  int take();

  std::filesystem::path file_;
  std::ifstream stream_;
  std::uint64_t offset_ = 0, next_offset_ = 0;
  std::size_t line_ = 1, next_line_ = 1;
};

}  // namespace chunkkv::eval
