#include "data/csv.h"

#include "base/blanks.h"
#include "benchmark.h"
#include "data/files.h"

#include <fmt/format.h>

#include <utility>

namespace chunkkv::eval {
namespace {

constexpr int kEnd = std::ifstream::traits_type::eof();

bool is_blank(int c) {
  return c != kEnd && kBlanks.find(char(c)) != kBlanks.npos;
}

}  // namespace

CsvReader::CsvReader(std::filesystem::path file) : file_(std::move(file)), stream_(open_file(file_)) {
  for (const char mark : {'\xEF', '\xBB', '\xBF'}) {
    if (stream_.peek() != static_cast<unsigned char>(mark)) break;
    take();
  }
}

int CsvReader::take() {
  const int c = stream_.get();
  if (c != kEnd) ++next_offset_;
  if (c == '\n') ++next_line_;
  return c;
}

void CsvReader::seek(std::uint64_t offset, std::size_t line) {
  stream_.clear();
  stream_.seekg(std::streamoff(offset));
  next_offset_ = offset;
  next_line_ = line;
}

bool CsvReader::next(std::vector<std::string>& fields) {
  while (is_blank(stream_.peek()) || stream_.peek() == '\n') take();  // blank lines, and blanks before a row
  offset_ = next_offset_;
  line_ = next_line_;
  fields.clear();
  if (stream_.peek() == kEnd) return false;

  while (true) {
    std::string& field = fields.emplace_back();
    int c = take();
    if (c == '"') {
      while (true) {
        c = take();
        if (c == kEnd) throw BrokenRecord(place(file_, line_) + ": a quote of this row is never closed");
        if (c != '"') {
          field += char(c);
        } else if (stream_.peek() == '"') {
          field += char(take());
        } else {
          break;
        }
      }
      c = take();
      while (is_blank(c) && c != '\r') c = take();
      if (c != ',' && c != '\r' && c != '\n' && c != kEnd) {
        while (c != '\n' && c != kEnd) c = take();
        throw BrokenRecord(
            fmt::format("{}: text follows the closing quote of field {}; quotes within a field are doubled",
                        place(file_, line_), fields.size()));
      }
    } else {
      for (; c != ',' && c != '\r' && c != '\n' && c != kEnd; c = take()) field += char(c);
    }
    if (c == '\r' && stream_.peek() == '\n') c = take();
    if (c != ',') return true;
  }
}

}  // namespace chunkkv::eval
