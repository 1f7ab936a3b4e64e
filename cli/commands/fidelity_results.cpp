#include "cli/commands/fidelity_results.h"

#include "runner/pairs.h"
#include "runner/sample_digest.h"

#include <fmt/format.h>

#include <numeric>
#include <utility>

namespace chunkkv::cli {
namespace {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}

/// Of what fidelity depends on: no references, and no later question.
std::string prompt_digest(const eval::Sample& sample, std::int32_t n_answer) {
  eval::Sample prompt;
  prompt.document = sample.document;
  prompt.questions = {{sample.questions.front().text, {}}};
  prompt.chat_template = sample.chat_template;
  return eval::sample_digest(prompt, n_answer);
}

}  // namespace

eval::Json fidelity_identity(const EvalArguments& arguments, const eval::Sample& sample, const Plan& plan,
                             std::int32_t n_prompt, std::int32_t max_length, std::int32_t n_answer,
                             const std::string& model_hash) {
  eval::Json line = {{"benchmark", "fidelity"},
                     {"task", sample.task},
                     {"group", sample.group},
                     {"id", sample.id},
                     {"question", 0},
                     {"data", prompt_digest(sample, n_answer)},
                     {"method", plan.method->spec()},
                     {"keep", plan.budget.to_string()},
                     {"query", arguments.query},
                     {"cells", 0},
                     {"max_length", max_length},
                     {"seed", arguments.sampling.seed},
                     {"model_hash", model_hash}};
  if (const std::string others = settings(arguments); !others.empty()) line["settings"] = others;
  if (const std::int32_t window = plan.at(n_prompt, n_prompt, 1).window; window > 0) line["window"] = window;
  for (const auto& [name, value] : sample.facts) line[name] = value;
  return line;
}

void add_fidelity(eval::Json& line, const Fidelity& f) {
  line["prompt_tokens"] = f.n_entries;
  line["kept_tokens"] = f.n_kept;
  line["compared_tokens"] = f.n_tokens;
  line["kl"] = f.kl;
  line["kl_by_token"] = f.kl_of;
  line["top1"] = f.top1;
  line["skipped_tokens"] = f.n_tokens - f.n_rest;
  line["kl_rest"] = f.n_rest > 0 ? eval::Json(f.kl_rest) : eval::Json(nullptr);
  line["top1_rest"] = f.n_rest > 0 ? eval::Json(f.top1_rest) : eval::Json(nullptr);
  if (f.after < 0) line["compressed"] = false;
  line["kv_l1"] = mean(f.kv_l1);
  line["kv_l1_layers"] = f.kv_l1;
  line["attention_cosine"] = mean(f.attention_cosine);
  line["attention_cosine_layers"] = f.attention_cosine;
  line["attention_mass"] = mean(f.attention_mass);
  line["adjacent_similarity"] = f.adjacent_similarity;
  const auto n = f.kv_l1.size();
  eval::Json matrix = eval::Json::array();
  for (std::size_t layer = 0; layer < n; ++layer)
    matrix.push_back(std::vector<double>(f.similarity.begin() + std::ptrdiff_t(layer * n),
                                         f.similarity.begin() + std::ptrdiff_t((layer + 1) * n)));
  line["similarity"] = std::move(matrix);
}

void FidelityTable::add(std::size_t pair, const Fidelity& f) {
  Sums& s = sums_[pair];
  s.kl += f.kl;
  s.top1 += f.top1;
  if (f.n_rest > 0) {
    s.kl_rest += f.kl_rest;
    ++s.n_rest;
  }
  s.l1 += mean(f.kv_l1);
  s.cosine += mean(f.attention_cosine);
  s.mass += mean(f.attention_mass);
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
