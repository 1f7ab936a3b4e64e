#include "eval.h"
#include "eval_results.h"
#include "machine.h"
#include "output.h"
#include "signals.h"

#include "runner/pairs.h"
#include "runner/prompt_tokens.h"
#include "runner/sample_digest.h"
#include "text/cell_steps.h"

#include <chunkkv/fidelity.h>
#include <chunkkv/model_identity.h>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <utility>

namespace chunkkv::cli {
namespace {

constexpr std::int32_t kAnswer = 64;
constexpr std::int32_t kSkip = 16;  // as many first tokens as `hybrid` observes

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

/// What is asked of whom; the line's `result_key` needs nothing else.
eval::Json identity(const EvalArguments& arguments, const eval::Sample& sample, const Plan& plan,
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

void add(eval::Json& line, const Fidelity& f) {
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

/// Means over the samples, a row a pair.
class Table {
 public:
  explicit Table(std::int32_t skip) : skip_(skip) {}
  void add(std::size_t pair, const Fidelity& f) {
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
  std::string text(std::span<const Plan> pairs) const {
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
  bool empty() const { return sums_.empty(); }

 private:
  struct Sums {
    double kl = 0, top1 = 0, kl_rest = 0, l1 = 0, cosine = 0, mass = 0, similarity = 0;
    std::size_t n = 0, n_rest = 0;
  };
  std::map<std::size_t, Sums> sums_;
  std::int32_t skip_;
};

}  // namespace

void run_fidelity(const EvalArguments& arguments) {
  SessionOptions kept_options = cli::session_options(arguments.model);
  SessionOptions session_options = reading_options(arguments, kept_options);
  if (!session_options.flash_attention)
    throw UsageError("a cache without flash attention cannot be compressed; use -fa on");
  if (arguments.cells > 0) throw UsageError("fidelity compares with the full cache; it is not for --cells");
  if (arguments.parallel > 1)
    throw UsageError("fidelity reads one given answer under each pair; it is not for --parallel");
  if (arguments.buffer > 0)
    throw UsageError("fidelity is measured along the full cache's answer; it is not for --buffer");
  const bool converts = !arguments.prefill_type.empty();
  const std::vector<Plan> pairs =
      eval::make_pairs(split_methods(arguments.methods), split_list(arguments.keep));
  const eval::Shard shard = eval::Shard::parse(arguments.shard);
  eval::Options options = arguments.benchmark;
  options.seed = std::uint64_t(std::max<std::int64_t>(arguments.sampling.seed, 0));
  eval::make_benchmark(arguments.prompts, options);  // refuses wrong names and values

  const std::shared_ptr<Model> model = load_model(arguments.model);
  options.max_length = max_length(arguments, *model);
  const std::int32_t n_answer = arguments.predict > 0 ? arguments.predict : kAnswer;
  const auto benchmark = eval::make_benchmark(arguments.prompts, options);
  const eval::ModelTokenizer tokenizer(*model);
  const auto samples = benchmark->samples(tokenizer);
  const std::string hash = identify(*model).hash;
  const std::string where = machine(kept_options.n_threads, arguments.model.gpu_layers);

  Results results(arguments.output, arguments.dry_run);
  StatusLine status(arguments.progress, std::chrono::seconds(30));
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& note : benchmark->notes()) status.print_above(note + "\n");
  std::unique_ptr<Session> session, kept;
  std::int32_t n_cells = 0;
  // What the pair that observes most of the answer is given: as much is left out for all.
  std::int32_t skip = kSkip;
  for (const Plan& pair : pairs) skip = std::max(skip, pair.method->request().after);
  Table table(skip);
  std::set<std::size_t> told;  // pairs whose windows shrink
  std::size_t n_done = 0;
  for (std::size_t index = 0; index < samples->size(); ++index) {
    if (!shard.has(index)) continue;
    if (stop_requested()) throw Interrupted("interrupted" + results.advice());
    eval::Sample sample;
    try {
      sample = samples->at(index);
    } catch (const eval::BrokenRecord& error) {
      if (!arguments.skip_broken)
        throw Error(fmt::format("{}; --skip-broken leaves such records out", error.what()));
      status.print_above(fmt::format("left out: {}\n", error.what()));
      continue;
    }
    const eval::PromptTokens tokens(*model, sample, !arguments.no_chat_template);
    const bool is_agnostic = arguments.query == "agnostic";
    if (is_agnostic && sample.document.empty())
      throw UsageError(fmt::format(
          "{} has no document apart from its question, so there is nothing to compress without knowing it; "
          "use --query aware",
          sample.source));
    const std::vector<Token> prompt = is_agnostic ? tokens.document() : tokens.whole();
    const std::vector<Token> question = is_agnostic ? tokens.question(0) : std::vector<Token>{};
    const auto n_prompt = std::int32_t(prompt.size());
    std::vector<std::size_t> todo;
    for (std::size_t pair = 0; pair < pairs.size(); ++pair) {
      const std::string key = eval::result_key(
          identity(arguments, sample, pairs[pair], n_prompt, options.max_length, n_answer, hash));
      if (results.known().contains(key)) continue;
      todo.push_back(pair);
      const ResolvedPlan resolved = pairs[pair].at(n_prompt, n_prompt, model->info().n_layer);
      if (resolved.window > 0 && told.insert(pair).second)
        status.print_above(
            fmt::format("{}: the window shrinks to half of the budget where that is too small, as to {} "
                        "instead of {} for {}\n",
                        eval::to_string(pairs[pair]), resolved.window, resolved.asked_window, sample.source));
    }
    if (todo.empty()) continue;
    if (arguments.dry_run) {
      print(fmt::format("{}: {} tokens, {} pairs\n", sample.source, prompt.size(), todo.size()));
      continue;
    }
    const auto needed = n_prompt + std::int32_t(question.size()) + n_answer;
    if (needed > window(arguments, *model))
      throw UsageError(
          fmt::format("the prompt of {} and an answer of {} tokens need {} cells, but the model's window "
                      "is {}; give a smaller --max-length, or a larger -c",
                      sample.source, n_answer, needed, window(arguments, *model)));
    if (!session || needed > n_cells) {
      session.reset();  // before the next one takes its memory
      kept.reset();
      n_cells = std::int32_t(text::in_cell_steps(needed));
      session_options.n_cells = kept_options.n_cells = n_cells;
      session = open_session(model, session_options);
      if (converts) kept = open_session(model, kept_options);
    }
    std::vector<Plan> plans;
    for (const std::size_t pair : todo) plans.push_back(pairs[pair]);
    const auto progress = [&](const ReadState& read) {
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      const double share = (double(index) + double(read.done) / double(read.total)) / double(samples->size());
      if (status.due())
        status.show(fmt::format("{}: sample {} of {}, reading {} of {} tokens; about {} left", sample.task,
                                index + 1, samples->size(), read.done, read.total,
                                duration(seconds * (1 - share) / std::max(share, 1e-6))));
      return !stop_requested();
    };
    std::vector<Fidelity> measured;
    try {
      measured = measure_fidelity(*session, prompt, plans,
                                  {.n_tokens = n_answer,
                                   .question = question,
                                   .skip = skip,
                                   .progress = progress,
                                   .kept = kept.get()});
    } catch (const Interrupted&) {
      status.finish();
      throw Interrupted("interrupted" + results.advice());
    }
    for (std::size_t i = 0; i < todo.size(); ++i) {
      eval::Json line = identity(arguments, sample, plans[i], n_prompt, options.max_length, n_answer, hash);
      add(line, measured[i]);
      line["model"] = std::filesystem::path(arguments.model.model).filename().string();
      line["version"] = CHUNKKV_VERSION;
      line["machine"] = where;
      results.write(line);
      table.add(todo[i], measured[i]);
    }
    ++n_done;
  }
  status.finish();
  if (!table.empty()) print_error(table.text(pairs));
}

}  // namespace chunkkv::cli
