#include "cli/commands/run.h"

#include "base/stopwatch.h"
#include "cli/commands/commands.h"
#include "cli/files/inputs.h"
#include "cli/options/effects.h"
#include "cli/options/option_group.h"
#include "cli/show/cache_parts.h"
#include "cli/show/outcome.h"
#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"
#include "text/limit_answer.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>
#include <vector>

namespace chunkkv::cli {
namespace {

/// The most tokens that the answer may have. With cache positions no trained context limits it.
std::int32_t n_predict(const RunArguments& arguments, const Model& model, std::size_t n_prompt) {
  if (arguments.predict < 0 && arguments.bounded.positions == "cache") return 1 << 24;
  return answer_length(arguments.predict, model, n_prompt);
}

/// One prompt in one session: it is read once, and answered from the full cache, the compressed one or both.
class Run {
 public:
  /// `options`: as asked for; the session may have more cells, because the engine rounds their number up.
  Run(const RunArguments& arguments, Plan plan, const SessionOptions& options, std::shared_ptr<Model> model,
      text::SplitPrompt prompt)
      : arguments_(arguments),
        plan_(std::move(plan)),
        options_(options),
        model_(std::move(model)),
        session_(open_session(model_, with_cache_types(options, arguments.bounded.prefill_type))),
        prompt_(std::move(prompt)),
        n_predict_(n_predict(arguments, *model_, prompt_.tokens.size())) {}

  void check() const {
    if (!arguments_.bounded.prefill_type.empty()) require_conversion(*session_);
    if (arguments_.bounded.buffer > 0)
      text::require_answer_room(*session_, plan_, std::int32_t(prompt_.tokens.size()),
                                arguments_.bounded.buffer, n_predict_);
  }

  void read() {
    if (!arguments_.json) print_error(parts_line(*session_));
    ProgressDisplay display(arguments_.progress);
    const Timer timer;
    const Progress show = display.callback();
    const Progress progress = [&](const ReadState& now) {
      most_entries_ = std::max(most_entries_, now.n_entries);
      return show(now);
    };
    if (arguments_.bounded.in_pieces())
      sequence().read(prompt_.tokens, reading(arguments_.bounded, options_, prompt_, plan_), progress);
    else
      sequence().prefill(prompt_.tokens, {&plan_, 1}, progress);
    prefill_ms_ = timer.ms();
    display.finish();
    // Both answers start from these logits, whatever happens to the session in between.
    const auto logits = session_->logits();
    logits_.assign(logits.begin(), logits.end());
    if (arguments_.compare) prompt_end_ = sequence().checkpoint();
  }

  Outcome answer_from_full_cache() {
    Outcome outcome = outcome_so_far("full", Budget().to_string());
    answer(outcome, session_->timings().prefill, [&]() -> Sequence& {
      outcome.ms.prefill = session_->timings().prefill;
      outcome.kept_tokens = outcome.prompt_tokens;
      return sequence();
    });
    return outcome;
  }

  /// The answer's first tokens come from the whole cache where the plan observes them.
  Outcome answer_from_compressed_cache() {
    Outcome outcome = outcome_so_far(plan_.method->spec(), plan_.budget.to_string());
    Timer timer;
    if (!arguments_.bounded.in_pieces()) {
      if (prompt_end_) sequence().go_back(*prompt_end_);  // drops the full cache's answer
      sequence().compress_when_chosen();
    }
    outcome.n_observed = sequence().n_until_compression();
    const std::int32_t n_whole = sequence().n_entries();
    const bool converts = !arguments_.bounded.prefill_type.empty();
    if (outcome.n_observed == 0 && converts) convert();
    outcome.ended_before_choice = outcome.n_observed > 0;
    answer(outcome, prefill_ms_ + timer.ms(), [&]() -> Sequence& {
      outcome.ms = spent();
      if (outcome.n_observed > 0 && converts) convert();
      if (const auto buffer =
              answer_buffer(arguments_.bounded, options_, text::answer_budget(sequence(), plan_)))
        text::limit_answer(sequence(), plan_, *buffer, n_predict_);
      outcome.kept_tokens = sequence().n_entries() - outcome.n_observed;
      outcome.ended_before_choice = false;
      return sequence();
    });
    if (outcome.ended_before_choice) {
      outcome.ms = spent();
      outcome.kept_tokens = n_whole;
    }
    return outcome;
  }

 private:
  Sequence& sequence() { return session_->sequence(); }

  Outcome outcome_so_far(const std::string& method, const std::string& keep) const {
    Outcome outcome = outcome_of(*session_, method, keep, prompt_.tokens.size());
    const CacheUse use = session_->use();
    outcome.bytes_before =
        use.bytes_allocated / std::uint64_t(use.cells_allocated) * std::uint64_t(most_entries_);
    return outcome;
  }

  /// Moves what was kept into a new session with the cache types asked for; the old session is closed. The
  /// new cache is no larger than the kept entries and the answer need, unless --cells or -c sets its size.
  void convert() {
    const Snapshot kept = sequence().snapshot();
    SessionOptions options = options_;
    if (!arguments_.bounded.in_pieces() && arguments_.model.ctx_size == 0)
      options.n_cells = kept.n_entries + n_predict_;
    n_compressions_ = sequence().n_compressions();
    spent_ = session_->timings();
    session_.reset();
    session_ = open_session(model_, options);
    sequence().restore(session_->converted(kept));
  }

  /// Times of the session that read the prompt.
  Timings spent() const { return spent_ ? *spent_ : session_->timings(); }

  /// Lets the model answer; `ms_before` is the time until it could start. `compressed` is called once the
  /// compression is done, at once or after the tokens that the plan observes, and returns the sequence that
  /// goes on; tokens before come from the whole cache.
  void answer(Outcome& outcome, double ms_before, const std::function<Sequence&()>& compressed) {
    const auto note_memory = [&] {
      outcome.bytes_after = sequence().use().bytes_used;
      outcome.bytes_allocated = session_->use().bytes_allocated;
    };
    note_memory();
    const bool stream = !arguments_.json;
    if (stream && arguments_.compare) print(fmt::format("== {} ==\n", title(outcome)));
    outcome.answer = cli::answer(arguments_, sequence(), logits_, n_predict_, [&]() -> Sequence& {
      Sequence& compressed_one = compressed();
      note_memory();
      return compressed_one;
    });
    outcome.compressions = n_compressions_ + sequence().n_compressions();
    outcome.first_token_ms = ms_before + outcome.answer.first_ms;
    if (stream) print(arguments_.compare ? "\n\n" : "\n");
  }

  const RunArguments& arguments_;
  Plan plan_;
  SessionOptions options_;
  std::shared_ptr<Model> model_;
  std::unique_ptr<Session> session_;
  text::SplitPrompt prompt_;
  std::int32_t n_predict_ = 0;
  std::int32_t n_compressions_ = 0;  ///< in the session that `convert` closed
  std::optional<Timings> spent_;     ///< times of that session
  std::int32_t most_entries_ = 0;
  std::vector<float> logits_;
  std::optional<Checkpoint> prompt_end_;
  double prefill_ms_ = 0;
};

/// What to tell of an answer that ends before a method has observed what it chooses by; empty if it does not.
std::string short_answer_note(const RunArguments& arguments, const ResolvedPlan& plan,
                              std::int32_t n_answer) {
  const std::int32_t n_observed = plan.method->request().after;
  if (n_observed == 0 || n_answer > n_observed || plan.keeps_all() || arguments.bounded.in_pieces())
    return {};
  return fmt::format(
      "nothing is compressed: {} observes {} tokens of the answer first, and -n allows {}; allow more, or "
      "choose with after=0\n",
      plan.method->spec(), n_observed, n_answer);
}

void run(const RunArguments& arguments) {
  // Errors in the arguments are found before the model is loaded.
  Plan wanted = plan(arguments.compression);
  SessionOptions options = session_options(arguments.model);
  if (!options.flash_attention && !wanted.method->keeps_all()) {
    throw UsageError("a cache without flash attention cannot be compressed; use -fa on, or --method full");
  }
  check(arguments.bounded, arguments.model);
  if (arguments.compare && arguments.bounded.in_pieces()) {
    throw UsageError("--compare needs the whole prompt in the cache; use it without --cells");
  }
  options.cache_positions = arguments.bounded.positions == "cache";
  const std::string text = read_prompt(arguments.prompt);

  const auto model = load_model(arguments.model);
  const auto prompt = text::PromptLayout(*model, arguments.prompt).split(text, arguments.prompt.question);
  wanted = plan_of(arguments.compression, arguments.prompt, *model);
  const auto n_prompt = std::int32_t(prompt.tokens.size());
  const ResolvedPlan resolved = wanted.at(n_prompt, n_prompt, model->info().n_layer);
  const std::int32_t n_answer = n_predict(arguments, *model, prompt.tokens.size());
  const std::string short_answer = short_answer_note(arguments, resolved, n_answer);
  print_error(short_answer.empty() ? small_budget_note(resolved) : short_answer);
  options.n_cells = arguments.bounded.in_pieces()
                        ? bounded_cells(arguments.bounded, *model, options, prompt, wanted, n_answer)
                        : cells_for(arguments.model, *model, prompt.tokens.size(), n_answer);
  Run run(arguments, wanted, options, model, prompt);
  run.check();
  run.read();
  std::vector<Outcome> outcomes;
  if (arguments.compare) outcomes.push_back(run.answer_from_full_cache());
  if (!stop_requested()) outcomes.push_back(run.answer_from_compressed_cache());
  if (outcomes.empty()) throw Interrupted("interrupted");  // after the prompt, before the answer

  if (!arguments.json) {
    print_error(figures(outcomes));
    return;
  }
  auto json = to_json(outcomes.back());
  if (resolved.window > 0) json["window"] = resolved.window;
  if (outcomes.size() > 1) json["full"] = to_json(outcomes.front());
  print(results::to_text(json));
}

/// UsageError for options that would have no effect.
void refuse_ineffective(const RunArguments& arguments, const CLI::App& command) {
  check_sampling(command, arguments.sampling);
  if (arguments.cache) {
    refuse_without_effect(command,
                          {"--compare", "--cells", "--observer", "--buffer", "--positions",
                           "--cache-type-prefill", "--protect", "--system-prompt", "--no-chat-template"},
                          "on a prompt that is not read now (--cache)");
    return;
  }
  check_keep_at_least(command, arguments.compression);
  if (!arguments.bounded.in_pieces()) refuse_without_effect(command, {"--observer"}, "without --cells");
  if (command.count("--observer") > 0 && arguments.bounded.observer != "window" &&
      arguments.prompt.question.empty())
    throw UsageError(
        fmt::format("--observer {} needs a question; give one with -q", arguments.bounded.observer));
  if (plan(arguments.compression).method->keeps_all())
    refuse_without_effect(command, {"--buffer"}, "on a method that drops nothing");
}

}  // namespace

text::Answer answer(const RunArguments& arguments, Sequence& sequence, std::span<const float> logits,
                    std::int32_t n_predict, const std::function<Sequence&()>& compressed) {
  text::Sampler sampler(sequence.session().model(), arguments.sampling);
  const auto show = [&](std::string_view piece) {
    if (!arguments.json) print(piece);
  };
  if (n_predict > 0)
    return text::generate(sequence, logits, sampler,
                          {.n_predict = n_predict, .emit = show, .interrupted = stop_requested}, compressed);
  if (sequence.n_until_compression() == 0) compressed();
  return {};
}

void add_run(CLI::App& app) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App& command = *app.add_subcommand("run", "read a prompt, compress its cache, answer");
  add_model_options(command, arguments->model);
  add_prompt_options(command, arguments->prompt);
  reads_file(
      OptionGroup(command, "Prompt")
          .add("--cache", arguments->cache, "ask about a prompt that `chunkkv cache build` saved", "FILE"));
  add_compression_options(command, arguments->compression);
  add_keep_at_least(command, arguments->compression);
  add_bounded_options(command, arguments->bounded);
  const OptionGroup own(command);
  own.flag("--compare", arguments->compare, "answer from the full cache as well, after one reading");
  own.add("-n,--predict,--n-predict", arguments->predict,
          fmt::format("tokens of the answer at most; -1: as many as the trained context holds (default: {})",
                      arguments->predict),
          "N", -1, 1 << 24);
  own.flag("--json", arguments->json, "print one JSON object instead of text and figures");
  add_progress_options(command, arguments->progress);
  add_sampling_options(command, arguments->sampling);
  command.callback([arguments, &command] {
    refuse_ineffective(*arguments, command);
    unescape(arguments->prompt);
    arguments->compression_given =
        command.count("--method") + command.count("--keep") + command.count("--keep-at-least") > 0;
    arguments->cache ? run_cached(*arguments) : run(*arguments);
  });
}

}  // namespace chunkkv::cli
