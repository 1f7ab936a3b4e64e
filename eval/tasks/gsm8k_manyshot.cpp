#include "tasks/gsm8k.h"
#include "tasks/list.h"
#include "tasks/random.h"

#include <fmt/format.h>

namespace chunkkv::eval {
namespace {

constexpr std::int32_t kShots = 50;

/// Puts the same examples of the training set before every problem: they are the prompt that is compressed.
class Gsm8kManyShot final : public MathBenchmark {
 public:
  explicit Gsm8kManyShot(const Options& options) : MathBenchmark("gsm8k-manyshot", options) {
    if (options.shots == 0) throw UsageError("gsm8k-manyshot needs at least one example; see gsm8k for none");
  }

 protected:
  std::vector<MathExample> examples() const override {
    const JsonLines records = gsm8k_file(options().data, "train.jsonl");
    const auto n = std::size_t(options().shots.value_or(kShots));
    if (records.size() < n) {
      throw UsageError(fmt::format("train.jsonl has {} records, and {} examples are wanted; use fewer shots",
                                   records.size(), n));
    }
    std::vector<MathExample> result;
    Random random(options().seed, "gsm8k-manyshot");
    for (const std::size_t i : random.choose(n, records.size()))
      result.push_back(math_example(records.at(i)));
    return result;
  }
};

}  // namespace

BenchmarkInfo gsm8k_manyshot_benchmark() {
  return {"gsm8k-manyshot",
          "GSM8K after many examples of the training set, 50 unless told otherwise",
          "test.jsonl and train.jsonl of GSM8K",
          {"gsm8k-manyshot"},
          [](const Options& options) { return std::make_unique<Gsm8kManyShot>(options); }};
}

}  // namespace chunkkv::eval
