#pragma once

#include "benchmark.h"
#include "tasks/math_examples.h"

#include <string>
#include <utility>

namespace chunkkv::eval {

/// Grade-school word problems (arXiv 2110.14168) after worked examples. Its two benchmarks, gsm8k and
/// gsm8k-manyshot, differ only in the examples.
class MathBenchmark : public Benchmark {
 public:
  MathBenchmark(std::string name, Options options) : name_(std::move(name)), options_(std::move(options)) {}

  std::unique_ptr<Samples> samples(const Tokenizer& tokenizer) const override;
  Score score(const Sample& sample, std::size_t question, std::string_view answer) const override;

 protected:
  /// The worked examples; called at most once a run. Empty: problems are asked in the model's chat template.
  virtual std::vector<MathExample> examples() const = 0;
  const Options& options() const { return options_; }

 private:
  std::string name_;
  Options options_;
};

}  // namespace chunkkv::eval
