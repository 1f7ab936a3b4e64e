#include "cli/commands/eval.h"
#include "cli/commands/eval_results.h"
#include "cli/measure/machine.h"
#include "cli/terminal/output.h"
#include "results/fidelity.h"

#include "runner/pairs.h"
#include "runner/prompt_tokens.h"
#include "runner/sample_digest.h"
#include "text/cell_steps.h"

#include <chunkkv/fidelity.h>

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

namespace chunkkv::cli {
namespace {

constexpr std::int32_t kAnswer = 64;
constexpr std::int32_t kSkip = 16;  // first tokens of an answer, as many as `hybrid` observes

void check_fidelity(const EvalArguments& arguments, const SessionOptions& session) {
  require_flash_attention(session);
  if (arguments.sweep.n_cells > 0)
    throw UsageError("fidelity compares with the full cache; it is not for --cells");
  if (arguments.sweep.parallel > 1)
    throw UsageError("fidelity reads one given answer under each pair; it is not for --parallel");
  if (arguments.sweep.buffer > 0)
    throw UsageError("fidelity is measured along the full cache's answer; it is not for --buffer");
}

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

/// The digest of all that fidelity depends on: not the references, nor later questions.
std::string prompt_digest(const eval::Sample& sample, std::int32_t n_answer) {
  eval::Sample prompt;
  prompt.document = sample.document;
  prompt.questions = {{sample.questions.front().text, {}}};
  prompt.chat_template = sample.chat_template;
  return eval::sample_digest(prompt, n_answer);
}

/// Measures fidelity on all samples of a benchmark: each is read once for all pairs that lack a result.
class FidelityRun {
 public:
  FidelityRun(const EvalArguments& arguments, std::vector<Plan> pairs);
  void run();

 private:
  struct PendingSample {
    eval::Sample sample;
    std::vector<Token> prompt, question;
    std::vector<std::size_t> missing;  // pairs that lack a result
  };
  /// The sample; nothing for a broken record that --skip-broken leaves out.
  std::optional<eval::Sample> sample(std::size_t index);
  PendingSample pending_sample(eval::Sample sample);
  /// Opens sessions with enough cells for the sample, where those that are open have too few.
  void reserve(const PendingSample& pending);
  void measure(std::size_t index, const PendingSample& pending);
  /// The record of a measurement, still without figures.
  results::FidelityRecord record(const PendingSample& pending, std::size_t pair) const;

  const EvalArguments& arguments_;
  std::vector<Plan> pairs_;
  SessionOptions kept_options_ = cli::session_options(arguments_.model);
  SessionOptions session_options_ = with_cache_types(kept_options_, arguments_.prefill_type);
  std::shared_ptr<Model> model_ = load_model(arguments_.model);
  eval::ModelTokenizer tokenizer_{*model_};
  eval::Options options_ = benchmark_options(arguments_);
  results::Origin origin_ = origin_of(*model_, kept_options_.n_threads, arguments_.model.gpu_layers);
  std::int32_t n_answer_ = arguments_.sweep.n_predict > 0 ? arguments_.sweep.n_predict : kAnswer;
  std::int32_t skip_ = kSkip;
  std::unique_ptr<eval::Benchmark> benchmark_;
  std::unique_ptr<eval::Samples> samples_;
  Campaign campaign_{arguments_.progress, std::chrono::seconds(30)};
  std::optional<Results> results_;
  std::unique_ptr<Session> session_, kept_;
  std::int32_t n_cells_ = 0;
  std::optional<FidelityTable> table_;
  std::set<std::size_t> reported_pairs_;  // pairs whose smaller window was reported
};

FidelityRun::FidelityRun(const EvalArguments& arguments, std::vector<Plan> pairs)
    : arguments_(arguments), pairs_(std::move(pairs)) {
  origin_.seed = arguments.sweep.sampling.seed;
  options_.max_length = max_length(arguments, *model_);
  benchmark_ = eval::make_benchmark(arguments.prompts, options_);
  samples_ = benchmark_->samples(tokenizer_);
  results_.emplace(campaign_, arguments.output, arguments.dry_run);
  // The full cache predicts the first `after` tokens: the largest `after` of the pairs is left out for all.
  for (const Plan& pair : pairs_) skip_ = std::max(skip_, pair.method->request().after);
  table_.emplace(skip_);
}

void FidelityRun::run() {
  const eval::Shard shard = eval::Shard::parse(arguments_.shard);
  for (const std::string& note : benchmark_->notes()) campaign_.status().print_above(note + "\n");
  campaign_.run(std::vector<double>(samples_->size(), 1), [&](std::size_t index) {
    if (!shard.has(index)) return;
    auto found = sample(index);
    if (!found) return;
    const PendingSample now = pending_sample(std::move(*found));
    if (now.missing.empty()) return;
    if (arguments_.dry_run) {
      print(
          fmt::format("{}: {} tokens, {} pairs\n", now.sample.source, now.prompt.size(), now.missing.size()));
      return;
    }
    reserve(now);
    measure(index, now);
  });
  campaign_.status().finish();
  if (!table_->empty()) print_error(table_->text(pairs_));
}

std::optional<eval::Sample> FidelityRun::sample(std::size_t index) {
  try {
    return samples_->at(index);
  } catch (const eval::BrokenRecord& error) {
    if (!arguments_.skip_broken)
      throw Error(fmt::format("{}; --skip-broken leaves such records out", error.what()));
    campaign_.status().print_above(fmt::format("left out: {}\n", error.what()));
    return {};
  }
}

FidelityRun::PendingSample FidelityRun::pending_sample(eval::Sample sample) {
  PendingSample result{.sample = std::move(sample), .prompt = {}, .question = {}, .missing = {}};
  const eval::PromptTokens tokens(*model_, result.sample, !arguments_.no_chat_template);
  const bool is_agnostic = arguments_.query == "agnostic";
  if (is_agnostic && result.sample.document.empty())
    throw UsageError(fmt::format(
        "{} has no document apart from its question, so there is nothing to compress without knowing it; "
        "use --query aware",
        result.sample.source));
  result.prompt = is_agnostic ? tokens.document() : tokens.whole();
  if (is_agnostic) result.question = tokens.question(0);
  const auto n_prompt = std::int32_t(result.prompt.size());
  for (std::size_t pair = 0; pair < pairs_.size(); ++pair) {
    if (results_->known().contains(results::result_key(identity(record(result, pair))))) continue;
    result.missing.push_back(pair);
    const ResolvedPlan resolved = pairs_[pair].at(n_prompt, n_prompt, model_->info().n_layer);
    if (resolved.window > 0 && reported_pairs_.insert(pair).second)
      campaign_.status().print_above(fmt::format(
          "{}: the window shrinks to half of the budget where that is too small, as to {} "
          "instead of {} for {}\n",
          eval::to_string(pairs_[pair]), resolved.window, resolved.asked_window, result.sample.source));
  }
  return result;
}

void FidelityRun::reserve(const PendingSample& pending) {
  const auto needed = std::int32_t(pending.prompt.size() + pending.question.size()) + n_answer_;
  if (needed > window(arguments_, *model_))
    throw UsageError(
        fmt::format("the prompt of {} and an answer of {} tokens need {} cells, but the model's window "
                    "is {}; give a smaller --max-length, or a larger -c",
                    pending.sample.source, n_answer_, needed, window(arguments_, *model_)));
  if (session_ && needed <= n_cells_) return;
  session_.reset();  // frees its memory before the next one takes some
  kept_.reset();
  n_cells_ = std::int32_t(text::round_up_cells(needed));
  session_options_.n_cells = kept_options_.n_cells = n_cells_;
  session_ = open_session(model_, session_options_);
  if (!arguments_.prefill_type.empty()) kept_ = open_session(model_, kept_options_);
}

void FidelityRun::measure(std::size_t index, const PendingSample& pending) {
  std::vector<Plan> plans;
  for (const std::size_t pair : pending.missing) plans.push_back(pairs_[pair]);
  const auto tell = [&](const ReadState& read) {
    return campaign_.report_progress(
        double(read.done) / double(read.total), [&](double, const std::string& left) {
          return fmt::format("{}: sample {} of {}, reading {} of {} tokens; about {} left",
                             pending.sample.task, index + 1, samples_->size(), read.done, read.total, left);
        });
  };
  const std::vector<Fidelity> measured = measure_fidelity(session_->sequence(), pending.prompt, plans,
                                                          {.n_tokens = n_answer_,
                                                           .question = pending.question,
                                                           .skip = skip_,
                                                           .progress = tell,
                                                           .kept = kept_ ? &kept_->sequence() : nullptr});
  for (std::size_t i = 0; i < pending.missing.size(); ++i) {
    results_->write(to_json(record(pending, pending.missing[i]), measured[i]));
    table_->add(pending.missing[i], measured[i]);
  }
}

results::FidelityRecord FidelityRun::record(const PendingSample& pending, std::size_t pair) const {
  const Plan& plan = pairs_[pair];
  const auto n_prompt = std::int32_t(pending.prompt.size());
  results::FidelityRecord record;
  record.origin = origin_;
  record.setting = {"fidelity", arguments_.query == "aware", 0, options_.max_length, settings(arguments_)};
  record.sample = {pending.sample.task, pending.sample.group, pending.sample.id, 0,
                   prompt_digest(pending.sample, n_answer_)};
  record.pair = {plan.method->spec(), plan.budget.to_string()};
  record.window = plan.at(n_prompt, n_prompt, 1).window;
  record.facts = pending.sample.facts;
  return record;
}

}  // namespace

void run_fidelity(const EvalArguments& arguments) {
  // Errors in the arguments are found before the model is loaded.
  check_fidelity(arguments, cli::session_options(arguments.model));
  std::vector<Plan> pairs = eval::make_pairs(split_methods(arguments.methods), split_list(arguments.keep));
  eval::Shard::parse(arguments.shard);
  eval::make_benchmark(arguments.prompts, benchmark_options(arguments));
  FidelityRun(arguments, std::move(pairs)).run();
}

}  // namespace chunkkv::cli
