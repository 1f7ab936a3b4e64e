#include "cli/commands/eval.h"
#include "cli/commands/eval_results.h"
#include "cli/commands/settings.h"
#include "cli/files/inputs.h"
#include "cli/measure/machine.h"
#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"

#include "runner/pairs.h"
#include "runner/prompt_tokens.h"
#include "runner/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace chunkkv::cli {
namespace {

/// Tokens that a prompt leaves for the chat template in what the model can hold.
constexpr std::int32_t kTemplateRoom = 128;
/// Tokens that a prompt leaves for an answer without -n: the longest answer that LongBench asks for.
constexpr std::int32_t kLongestAnswer = 512;

/// The options not at their defaults that change answers only where prompts are read in pieces, as text.
std::string bounded_settings(const EvalArguments& a) {
  const EvalArguments standard;
  Settings settings;
  settings.add("ub", a.model.ubatch, standard.model.ubatch);
  settings.add("observer", a.observer, standard.observer);
  return settings.text();
}

}  // namespace

std::string settings(const EvalArguments& a) {
  const EvalArguments standard;
  Settings settings;
  settings.add("n", a.sweep.n_predict, standard.sweep.n_predict);
  settings.add("ctk", a.model.type_k, standard.model.type_k);
  settings.add("ctv", a.model.type_v, standard.model.type_v);
  settings.add("no-chat-template", a.no_chat_template, false);
  settings.add("separate-questions", a.sweep.separate_questions, false);
  settings.add("temp", a.sweep.sampling.temperature, standard.sweep.sampling.temperature);
  if (a.sweep.sampling.temperature > 0) {
    settings.add("top-k", a.sweep.sampling.top_k, standard.sweep.sampling.top_k);
    settings.add("top-p", a.sweep.sampling.top_p, standard.sweep.sampling.top_p);
    settings.add("min-p", a.sweep.sampling.min_p, standard.sweep.sampling.min_p);
  }
  settings.add("ignore-eos", a.sweep.sampling.ignore_eos, false);
  settings.add("needles", a.benchmark.needle.needles, standard.benchmark.needle.needles);
  settings.add("shots", a.benchmark.shots.value_or(-1), -1);
  settings.add("buffer", a.sweep.buffer, standard.sweep.buffer);
  settings.add("ct-prefill", a.prefill_type, standard.prefill_type);
  settings.add("questions", a.benchmark.questions, standard.benchmark.questions);
  if (const eval::JudgeOptions& judge = a.benchmark.judge; !judge.url.empty()) {
    settings.add("judge", judge.model + "@" + judge.url, std::string());
    settings.add("judge-tokens", judge.tokens, standard.benchmark.judge.tokens);
  }
  return settings.text();
}

std::int32_t window(const EvalArguments& arguments, const Model& model) {
  return arguments.model.ctx_size > 0 ? arguments.model.ctx_size : model.info().n_ctx_train;
}

std::int32_t max_length(const EvalArguments& arguments, const Model& model) {
  if (arguments.max_length) return *arguments.max_length;
  const std::int32_t all = window(arguments, model);
  const std::int32_t answer = arguments.sweep.n_predict > 0 ? arguments.sweep.n_predict : kLongestAnswer;
  return std::max(all - answer - kTemplateRoom, all / 2);
}

eval::Options benchmark_options(const EvalArguments& arguments) {
  eval::Options options = arguments.benchmark;
  options.seed = std::uint64_t(std::max<std::int64_t>(arguments.sweep.sampling.seed, 0));
  if (const char* key = std::getenv("CHUNKKV_JUDGE_KEY")) options.judge.key = key;
  return options;
}

namespace {

eval::SweepOptions sweep_options(const EvalArguments& arguments) {
  eval::SweepOptions options = arguments.sweep;
  options.query = arguments.query == "aware" ? eval::Query::aware : eval::Query::agnostic;
  options.observer = parse_observer(arguments.observer);
  options.use_template = !arguments.no_chat_template;
  options.interrupted = stop_requested;
  return options;
}

void report_dry_run(const eval::Survey& survey, const eval::Sweep& sweep) {
  std::string text = fmt::format("{:<24}{:>9}{:>11}{:>10}{:>10}{:>10}{:>10}{:>9}\n", "task", "samples",
                                 "questions", "shortest", "mean", "longest", "answers", "missing");
  std::int64_t n_tokens = 0;
  for (const auto& [name, task] : survey.tasks)
    text += fmt::format("{:<24}{:>9}{:>11}{:>10}{:>10}{:>10}{:>10}{:>9}\n", name, task.n_samples,
                        task.n_questions, task.shortest, task.n_tokens / std::int64_t(task.n_samples),
                        task.longest, task.n_answers, task.n_missing);
  for (const eval::Survey::Item& item : survey.todo)
    n_tokens += std::int64_t(item.size.prompt) * std::int64_t(sweep.readings(item.pairs).size());
  text += fmt::format(
      "{} pairs of method and budget; to do: {} samples with {} tokens to read, {} of {} answers\n",
      sweep.pairs().size(), survey.todo.size(), n_tokens, survey.n_missing, survey.n_answers);
  print(text);
}

/// Reports on standard error how a run goes.
class Display {
 public:
  explicit Display(Campaign& campaign) : campaign_(campaign), line_(campaign.status()) {}

  eval::RunEvents events() {
    return {.surveying =
                [this](std::size_t done, std::size_t total) {
                  if (line_.due()) line_.show(fmt::format("looking at the samples: {} of {}", done, total));
                  return !stop_requested();
                },
            .progress =
                [this](const eval::RunState& state) {
                  return campaign_.report_progress(state.share, [&](double share, const std::string& left) {
                    return describe(state, share, left);
                  });
                },
            .note = [this](const std::string& text) { note(text); }};
  }

  /// Waits before a busy judge is asked again. Interrupted when a stop is requested.
  void wait(std::chrono::seconds pause, const std::string& reason) {
    note(fmt::format("{}; asking again in {}", reason, duration(double(pause.count()))));
    for (const auto end = Clock::now() + pause; Clock::now() < end;) {
      if (stop_requested()) throw Interrupted("interrupted while waiting for the judge");
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  void note(const std::string& text) { line_.print_above(text + "\n"); }

 private:
  using Clock = std::chrono::steady_clock;

  static std::string describe(const eval::RunState& state, double share, const std::string& left) {
    std::string text = fmt::format("{}: sample {} of {}", state.task, state.sample, state.n_samples);
    if (state.reading) text += fmt::format(", reading {} of {} tokens", state.read.done, state.read.total);
    text += fmt::format("; {} of {} answers", state.n_answers, state.n_missing);
    if (share > 0) text += fmt::format(", {:.0f} %, about {} left", 100 * share, left);
    return text;
  }

  Campaign& campaign_;
  StatusLine& line_;
};

void tell_notes(const eval::Survey& survey, const eval::Sweep& sweep, Display& display) {
  for (const std::string& record : survey.broken) display.note("left out: " + record);
  for (const auto& [pair, small] : survey.small_windows)
    display.note(fmt::format("{}: the window shrinks to half of the budget for {} samples, as to {}",
                             eval::to_string(sweep.pairs()[pair]), small.n_samples, small.first_example));
}

/// UsageError for errors that can be found before the model is loaded.
void check_run(const EvalArguments& arguments, const SessionOptions& session) {
  if (arguments.name.empty()) throw UsageError("no benchmark given; `chunkkv eval list` lists them");
  if (arguments.sweep.sampling.seed < 0) throw UsageError("an evaluation needs a fixed --seed, of 0 or more");
  require_flash_attention(session);
  refuse_input(arguments.output);
}

eval::Sweep make_sweep(const EvalArguments& arguments, const std::shared_ptr<Model>& model,
                       const SessionOptions& session_options, const std::vector<Plan>& pairs) {
  const std::int32_t most = window(arguments, *model);
  const auto opens = [&](SessionOptions opened) -> eval::Sweep::OpenSession {
    return [=](std::int32_t n_cells) mutable {
      opened.n_cells = opened.n_sequences > 1 ? n_cells : std::min(n_cells, most);
      return open_session(model, opened);
    };
  };
  const bool converts = !arguments.prefill_type.empty();
  return {model, opens(with_cache_types(session_options, arguments.prefill_type)), pairs,
          sweep_options(arguments), converts ? opens(session_options) : nullptr};
}

eval::RunFacts run_facts(const EvalArguments& arguments, const Model& model, const eval::Options& options,
                         std::int32_t n_threads) {
  eval::RunFacts facts = {.origin = origin_of(model, n_threads, arguments.model.gpu_layers),
                          .setting = {.benchmark = arguments.name,
                                      .max_length = options.max_length,
                                      .others = settings(arguments)},
                          .bounded_settings = bounded_settings(arguments)};
  facts.origin.seed = std::int64_t(options.seed);
  return facts;
}

eval::Survey survey_of(eval::Runner& runner, Results& results) {
  try {
    return runner.survey(results.known());
  } catch (const eval::BrokenRecord& error) {
    throw Error(fmt::format("{}; --skip-broken leaves such records out", error.what()));
  }
}

/// Answers and scores all questions without a result. An Error of a judge gets `Campaign::advice`.
void answer_all(eval::Runner& runner, eval::Survey& survey, Results& results, Campaign& campaign,
                bool is_judged) {
  const auto write = [&](const results::Json& line) { results.write(line); };
  try {
    campaign.run(std::vector<double>{1}, [&](std::size_t) {
      runner.score_saved(survey, results.known(), results.unjudged(), write);
      runner.run(survey, results.known(), write);
      results.drop_unjudged();
    });
  } catch (const Interrupted&) {
    throw;
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    if (is_judged) throw Error(error.what() + campaign.advice());
    throw;
  }
}

}  // namespace

void run_eval(const EvalArguments& arguments) {
  SessionOptions session_options = cli::session_options(arguments.model);
  session_options.n_sequences = arguments.sweep.parallel;
  check_run(arguments, session_options);
  const std::vector<Plan> pairs =
      eval::make_pairs(split_methods(arguments.methods), split_list(arguments.keep));
  const eval::Shard shard = eval::Shard::parse(arguments.shard);
  eval::Options options = benchmark_options(arguments);
  const bool is_judged = !options.judge.url.empty();
  Campaign campaign(arguments.progress, std::chrono::seconds(30));
  Display display(campaign);
  options.judge.wait = [&](std::chrono::seconds pause, const std::string& why) { display.wait(pause, why); };
  eval::make_benchmark(arguments.name, options);  // refuses wrong names and values

  const std::shared_ptr<Model> model = load_model(arguments.model);
  options.max_length = max_length(arguments, *model);
  const auto benchmark = eval::make_benchmark(arguments.name, options);
  const eval::ModelTokenizer tokenizer(*model);
  const auto samples = benchmark->samples(tokenizer);
  eval::Sweep sweep = make_sweep(arguments, model, session_options, pairs);
  for (const std::string& note : benchmark->notes()) display.note(note);
  Results results(campaign, arguments.output, arguments.dry_run);
  eval::RunEvents events = display.events();
  if (is_judged) {
    results.open_unjudged_file();
    events.answered = [&](const results::Json& line) { results.save_unjudged(line); };
  }
  eval::Runner runner(*benchmark, *samples, sweep,
                      run_facts(arguments, *model, options, session_options.n_threads),
                      {.shard = shard,
                       .skip_broken = arguments.skip_broken,
                       .score_rest = !is_judged,
                       .max_tokens = window(arguments, *model)},
                      std::move(events));
  eval::Survey survey = survey_of(runner, results);
  tell_notes(survey, sweep, display);
  if (arguments.dry_run) {
    campaign.status().finish();
    report_dry_run(survey, sweep);
    return;
  }
  answer_all(runner, survey, results, campaign, is_judged);
  campaign.status().finish();
  if (!runner.table().empty()) print_error(runner.table().text());
}

}  // namespace chunkkv::cli
