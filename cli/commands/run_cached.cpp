#include "base/stopwatch.h"
#include "cli/commands/run.h"
#include "cli/commands/saved_cache.h"
#include "cli/show/outcome.h"
#include "cli/terminal/output.h"

#include <chunkkv/source.h>

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace chunkkv::cli {
namespace {

void check(const RunArguments& run, const CacheFileInfo& info) {
  if (info.is_source || !run.compression_given) return;
  throw UsageError(
      fmt::format("'{}' was compressed already, to {} by {}; leave out --method, --keep and --keep-at-least, "
                  "or build it with "
                  "--keep-source to choose for each question",
                  *run.cache, info.keep, info.method));
}

std::int32_t cells_for_question(const RunArguments& run, const Model& model, const CacheFile& file,
                                std::size_t n_read) {
  const std::size_t n_entries = std::size_t(file.snapshot.n_entries) + n_read;
  const std::size_t n_positions = file.snapshot.tokens.size() + n_read;
  const auto trained = std::size_t(model.info().n_ctx_train);
  if (n_positions > trained) {
    throw UsageError(
        fmt::format("with the question the prompt has {} tokens, but this model was trained for {}; "
                    "ask a shorter question, or build the cache from a shorter text",
                    n_positions, trained));
  }
  if (run.model.ctx_size > 0 && n_entries > std::size_t(run.model.ctx_size)) {
    throw UsageError(fmt::format("saved cache and question need {} cells, but -c allows {}; give a larger -c",
                                 n_entries, run.model.ctx_size));
  }
  const std::int32_t cells =
      cells_for(run.model, model, n_entries, answer_length(run.predict, model, n_positions));
  if (run.model.ctx_size > 0 || model.info().window == 0) return cells;
  // A layer's window is saved as it is: the cells must hold it and a micro-batch that is read after it.
  const std::size_t in_window = std::size_t(model.info().window) + std::size_t(run.model.ubatch);
  return std::max(cells, std::int32_t(std::min(n_positions, in_window)));
}

void check_prompt(const PromptArguments& prompt) {
  if (prompt.text || prompt.file)
    throw UsageError("the prompt is in the cache file; leave out -p and -f, and ask with -q");
  if (prompt.question.empty()) throw UsageError("ask about the saved prompt with -q TEXT");
}

/// Restores the saved prompt and reads the question. Returns the resolved plan that chooses from a source; a
/// default one for other files.
ResolvedPlan read_question(Session& session, CacheFile& file, const Plan& wanted,
                           std::span<const Token> question, Outcome& outcome) {
  ResolvedPlan resolved;
  if (file.info.is_source) {
    resolved = wanted.at(outcome.prompt_tokens, outcome.prompt_tokens, session.n_layers());
    print_error(small_budget_note(resolved));
    Source source(session.sequence(), std::move(file.snapshot), file.info.rest, wanted);
    source.ask(question);
    outcome.method = wanted.method->spec();
    outcome.keep = wanted.budget.to_string();
  } else {
    session.sequence().restore(file.snapshot);
    std::vector<Token> tokens = file.info.rest;
    tokens.insert(tokens.end(), question.begin(), question.end());
    session.sequence().prefill(tokens);
  }
  return resolved;
}

/// Notes what the cache holds and took so far. `n_before`: compressions before it was saved.
void note_cache(const Sequence& sequence, std::int32_t n_before, Outcome& outcome) {
  outcome.compressions = n_before + sequence.n_compressions();
  outcome.ms = sequence.session().timings();
  outcome.kept_tokens = sequence.n_entries();
  outcome.bytes_after = sequence.use().bytes_used;
  outcome.bytes_allocated = sequence.session().use().bytes_allocated;
  outcome.bytes_before =
      outcome.bytes_after / std::uint64_t(outcome.kept_tokens) * std::uint64_t(outcome.prompt_tokens);
}

void answer_from(Sequence& sequence, const RunArguments& run, Outcome& outcome) {
  const std::int32_t n_before = outcome.compressions;
  outcome.n_observed = sequence.n_until_compression();
  outcome.ended_before_choice = outcome.n_observed > 0;
  note_cache(sequence, n_before, outcome);
  const auto compressed = [&]() -> Sequence& {
    note_cache(sequence, n_before, outcome);
    outcome.kept_tokens -= outcome.n_observed;
    outcome.ended_before_choice = false;
    return sequence;
  };
  const std::int32_t n_predict =
      answer_length(run.predict, sequence.session().model(), sequence.tokens().size());
  outcome.answer = answer(run, sequence, sequence.session().logits(), n_predict, compressed);
}

}  // namespace

void run_cached(const RunArguments& run) {
  check_prompt(run.prompt);
  Plan wanted = plan(run.compression);
  CacheFile file = load_cache_file(*run.cache);
  check(run, file.info);
  SessionOptions options = options_for(file.info, run.model);

  const auto model = load_model(run.model);
  const std::vector<Token> question =
      text::PromptLayout(*model, run.prompt).following(text::prompt_of(file), run.prompt.question);
  const std::size_t n_read = file.info.rest.size() + question.size();
  options.n_cells = cells_for_question(run, *model, file, n_read);
  const auto session = open_session(model, options);
  require_format(file.info, *run.cache, format_of(*session));
  wanted.protect_first = file.info.n_protected;

  Outcome outcome =
      outcome_of(*session, file.info.method, file.info.keep, file.snapshot.tokens.size() + n_read);
  outcome.compressions = file.info.n_compressions;
  const Timer timer;
  const ResolvedPlan resolved = read_question(*session, file, wanted, question, outcome);
  const double read_ms = timer.ms();
  const Timings& spent = session->timings();
  const double restore_ms = read_ms - (spent.prefill + spent.observe + spent.select + spent.move);
  answer_from(session->sequence(), run, outcome);
  outcome.first_token_ms = read_ms + outcome.answer.first_ms;

  if (run.json) {
    auto json = to_json(outcome);
    if (resolved.window > 0) json["window"] = resolved.window;
    json["cache"] = {{"file", *run.cache}, {"ms", restore_ms}, {"read_tokens", n_read}};
    print(results::to_text(json));
    return;
  }
  print("\n");
  print_error(figures({&outcome, 1}));
  print_error(fmt::format("{} restored in {:.1f} ms; {} of {} tokens were read\n", *run.cache, restore_ms,
                          n_read, outcome.prompt_tokens));
}

}  // namespace chunkkv::cli
