#pragma once

#include "benchmark.h"
#include "tasks/math_examples.h"

#include <string>
#include <utility>

namespace chunkkv::eval {

/// Grade-school word problems (arXiv 2110.14168) after worked examples. What the examples are is the only
/// difference between the two benchmarks.
class MathBenchmark : public Benchmark {
 public:
  MathBenchmark(std::string name, Options options) : name_(std::move(name)), options_(std::move(options)) {}

  std::unique_ptr<Samples> samples(const Tokenizer& tokenizer) const override;
  Score score(const Sample& sample, std::size_t question, std::string_view answer) const override;

 protected:
  /// At most one call a run; empty: the problem is asked in the model's chat template.
  virtual std::vector<MathExample> examples() const = 0;
  const Options& options() const { return options_; }

 private:
  std::string name_;
  Options options_;
};

}  // namespace chunkkv::eval
