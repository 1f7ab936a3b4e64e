#include "cli/commands/fidelity_results.h"

#include "runner/pairs.h"
#include "runner/sample_digest.h"

#include <fmt/format.h>

#include <utility>

namespace chunkkv::cli {
namespace {

/// The digest of all that fidelity depends on: not the references, nor later questions.
std::string prompt_digest(const eval::Sample& sample, std::int32_t n_answer) {
  eval::Sample prompt;
  prompt.document = sample.document;
  prompt.questions = {{sample.questions.front().text, {}}};
  prompt.chat_template = sample.chat_template;
  return eval::sample_digest(prompt, n_answer);
}

}  // namespace

results::FidelityRecord record_without_figures(const EvalArguments& arguments, const eval::Sample& sample,
                                               const Plan& plan, std::int32_t n_prompt,
                                               std::int32_t max_length, std::int32_t n_answer,
                                               const results::Origin& origin) {
  results::FidelityRecord record;
  record.origin = origin;
  record.setting = {"fidelity", arguments.query == "aware", 0, max_length, settings(arguments)};
  record.sample = {sample.task, sample.group, sample.id, 0, prompt_digest(sample, n_answer)};
  record.pair = {plan.method->spec(), plan.budget.to_string()};
  record.window = plan.at(n_prompt, n_prompt, 1).window;
  record.facts = sample.facts;
  return record;
}

void FidelityTable::add(std::size_t pair, const Fidelity& f) {
  Sums& s = sums_[pair];
  s.kl += f.kl;
  s.top1 += f.top1;
  if (f.n_rest > 0) {
    s.kl_rest += f.kl_rest;
    ++s.n_rest;
  }
  s.l1 += results::mean(f.kv_l1);
  s.cosine += results::mean(f.attention_cosine);
  s.mass += results::mean(f.attention_mass);
  s.similarity += f.adjacent_similarity;
  ++s.n;
}

std::string FidelityTable::text(std::span<const Plan> pairs) const {
  std::string text =
      fmt::format("{:<40}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>12}\n", "method and budget", "samples", "KL",
                  "top-1", "KL rest", "KV L1", "cosine", "mass", "similarity");
  for (const auto& [pair, s] : sums_) {
    const double n = double(s.n);
    text += fmt::format("{:<40}{:>8}{:>8.3f}{:>8.3f}{:>8}{:>8.3f}{:>8.3f}{:>8.3f}{:>12.3f}\n",
                        eval::to_string(pairs[pair]), s.n, s.kl / n, s.top1 / n,
                        s.n_rest > 0 ? fmt::format("{:.3f}", s.kl_rest / double(s.n_rest)) : "-", s.l1 / n,
                        s.cosine / n, s.mass / n, s.similarity / n);
  }
  return text +
         fmt::format("KL rest: without the first {} predictions of an answer, for all methods\n", skip_);
}

}  // namespace chunkkv::cli
