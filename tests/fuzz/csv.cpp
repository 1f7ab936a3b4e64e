// CSV files: rows are read one after the other, and then each again from its offset.
#include "data/csv.h"
#include "fuzz/memory_file.h"
#include "fuzz/target.h"

#include "benchmark.h"

#include <optional>

namespace {

using namespace chunkkv;
using fuzz::require;
using Fields = std::vector<std::string>;

struct Row {
  std::uint64_t offset = 0;
  std::size_t line = 0;
  std::optional<Fields> fields = std::nullopt;  ///< none: broken
};

/// Reads the next row. False at the end of the file.
bool next(eval::CsvReader& reader, Row& row) {
  Fields fields;
  try {
    if (!reader.next(fields)) return false;
    row.fields = std::move(fields);
  } catch (const eval::BrokenRecord&) {
    row.fields.reset();
  }
  row.offset = reader.offset();
  row.line = reader.line();
  return true;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile file({data, size});
  eval::CsvReader reader(file.path());
  std::vector<Row> rows;
  for (Row row; next(reader, row);) {
    require(rows.empty() || rows.back().offset < row.offset, "rows follow each other");
    rows.push_back(row);
  }
  for (const Row& row : rows) {
    Row again;
    reader.seek(row.offset, row.line);
    require(next(reader, again) && again.fields == row.fields && again.line == row.line &&
                again.offset == row.offset,
            "a row is the same when it is read again");
  }
  return 0;
}
