#pragma once

#include "cli/commands/eval.h"
#include "results/fidelity.h"

#include <chunkkv/fidelity.h>

#include <map>
#include <span>
#include <string>

/// What a fidelity run writes and prints.
namespace chunkkv::cli {

/// A measurement's record without figures, for a prompt of `n_prompt` tokens and an answer of `n_answer`.
results::FidelityRecord record_without_figures(const EvalArguments& arguments, const eval::Sample& sample,
                                               const Plan& plan, std::int32_t n_prompt,
                                               std::int32_t max_length, std::int32_t n_answer,
                                               const results::Origin& origin);

/// A table of means over the samples, with a row for each pair of method and budget.
class FidelityTable {
 public:
  /// `skip`: first predictions of an answer that "KL rest" leaves out.
  explicit FidelityTable(std::int32_t skip) : skip_(skip) {}
  void add(std::size_t pair, const Fidelity& fidelity);
  std::string text(std::span<const Plan> pairs) const;
  bool empty() const { return sums_.empty(); }

 private:
  struct Sums {
    double kl = 0, top1 = 0, kl_rest = 0, l1 = 0, cosine = 0, mass = 0, similarity = 0;
    std::size_t n = 0, n_rest = 0;
  };
  std::map<std::size_t, Sums> sums_;
  std::int32_t skip_;
};

}  // namespace chunkkv::cli
