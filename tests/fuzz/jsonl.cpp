// Data files of benchmarks: one JSON object a line, as Python and other programs write it.
#include "data/jsonl.h"
#include "fuzz/memory_file.h"
#include "fuzz/target.h"
#include "tasks/math_examples.h"

#include "benchmark.h"

namespace {

using namespace chunkkv;
using fuzz::require;

/// Reads a record, or one key of it. Where that is wrong, the BrokenRecord must name the line.
template <class Read>
void read(Read read_key) {
  try {
    read_key();
  } catch (const eval::BrokenRecord& error) {
    require(std::string_view(error.what()).find(", line ") != std::string_view::npos,
            "a record is named by its line");
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile file({data, size});
  const eval::JsonLines lines(file.path());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    read([&] {
      const eval::Record record = lines.at(i);
      read([&] { record.id("_id"); });
      read([&] { record.text_or_empty("input"); });
      read([&] { require(!record.texts("answers").empty(), "a list of texts has one"); });
      read([&] { record.number("length"); });
      read([&] { eval::math_example(record); });
    });
  }
  return 0;
}
