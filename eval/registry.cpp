#include "benchmark.h"
#include "tasks/list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace chunkkv::eval {
namespace {

void check(const BenchmarkInfo& info, const Options& options) {
  for (const std::string& task : options.tasks) {
    if (std::find(info.tasks.begin(), info.tasks.end(), task) == info.tasks.end()) {
      throw UsageError(
          fmt::format("{} has no task '{}'; it has {}", info.name, task, fmt::join(info.tasks, ", ")));
    }
  }
  if (options.limit < 0) throw UsageError("the limit of records a task must be 1 or more, or 0 for all");
  if (options.max_length < 0)
    throw UsageError("the longest prompt must be 1 token or more, or 0 for any length");
  if (options.shots && *options.shots < 0) throw UsageError("a number of examples is 0 or more");
  if (options.questions < 1) throw UsageError("a document needs 1 question or more");
}

}  // namespace

std::span<const BenchmarkInfo> benchmarks() {
  static const std::vector<BenchmarkInfo> all = {
      longbench_benchmark(),      longbench_e_benchmark(), niah_benchmark(),      gsm8k_benchmark(),
      gsm8k_manyshot_benchmark(), jailbreakv_benchmark(),  multiturn_benchmark(),
  };
  return all;
}

std::unique_ptr<Benchmark> make_benchmark(std::string_view name, const Options& options) {
  std::vector<std::string_view> names;
  for (const BenchmarkInfo& info : benchmarks()) {
    if (info.name == name) {
      check(info, options);
      return info.make(options);
    }
    names.push_back(info.name);
  }
  throw UsageError(fmt::format("there is no benchmark '{}'; there are {}", name, fmt::join(names, ", ")));
}

}  // namespace chunkkv::eval
