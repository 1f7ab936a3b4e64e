// Files of results, as a continued run, `eval merge` and `report` read them.
#include "fuzz/memory_file.h"
#include "fuzz/target.h"
#include "report/report.h"
#include "report/results.h"
#include "results/file.h"
#include "results/merge.h"

#include <chunkkv/error.h>

#include <vector>

namespace {

using namespace chunkkv;
using fuzz::require;

const results::Json& added() {
  static const results::Json line = {{"benchmark", "fuzz"}, {"method", "full"}, {"keep", "100%"}};
  return line;
}

void go_on(const std::string& path) {
  std::size_t n = 0;
  try {
    results::ResultFile file(path, [&](const results::Json& line) {
      ++n;
      require(results::same_result(line, line), "a line is itself");
      require(results::result_key(results::parse_line(results::to_text(line))) == results::result_key(line),
              "a line that is written and read keeps its key");
    });
    require(file.n_lines() == n, "lines are counted");
    file.append(added());
  } catch (const Error&) {
    return;
  }
  const results::ResultFile again(path);
  require(again.n_lines() == n + 1 && !again.repaired(), "a file that was continued is whole");
  const std::vector<std::string> paths = {path, path};
  const results::Merged merged = results::merge_results(paths);
  require(merged.n_lines >= 1 && merged.n_lines + merged.n_duplicates == 2 * (n + 1),
          "each line is merged or repeated");
}

void read_report(std::string_view text) {
  try {
    report::ResultReader reader;
    reader.read("fuzz", text);
    report::make_report(reader.results(), "chunkkv");
  } catch (const Error&) {
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile file({data, size});
  go_on(file.path());
  read_report(fuzz::as_text(data, size));
  return 0;
}
