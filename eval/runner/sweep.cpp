#include "runner/sweep.h"

#include "runner/elapsed.h"
#include "text/cell_steps.h"

#include <chunkkv/error.h>
#include <chunkkv/prefix.h>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <utility>

namespace chunkkv::eval {
namespace {

/// Entries that a plan keeps of `n_entries` at most, in the layer that keeps most.
std::int32_t most_kept(const Plan& plan, std::int32_t n_entries) {
  return plan.method->layer_budgets() ? n_entries : plan.at(n_entries, n_entries, 1).target.budget;
}

}  // namespace

Sweep::Sweep(std::shared_ptr<Model> model, OpenSession open, std::vector<Plan> pairs, SweepOptions options,
             OpenSession open_kept)
    : model_(std::move(model)),
      open_(std::move(open)),
      pairs_(std::move(pairs)),
      options_(std::move(options)),
      open_kept_(std::move(open_kept)) {
  if (options_.parallel > 1 && (options_.buffer > 0 || open_kept_))
    throw UsageError(
        "answers that are held to a budget or come from a cache of other types are generated one by one; "
        "leave --parallel out");
  for (const Plan& pair : pairs_) {
    if (!pair.method->layer_budgets()) continue;
    if (options_.buffer > 0)
      throw UsageError(pair.method->spec() + " cannot compress while answering; leave it or the buffer out");
    if (open_kept_)
      throw UsageError(pair.method->spec() +
                       " hides cells, which cannot be converted to other cache types; leave it out");
  }
}

std::int32_t Sweep::n_cells(std::size_t pair) const {
  return pairs_[pair].method->keeps_all() ? 0 : options_.n_cells;
}

std::vector<std::vector<std::size_t>> Sweep::readings(std::span<const std::size_t> pairs) const {
  std::vector<std::vector<std::size_t>> readings(1);
  for (const std::size_t pair : pairs) {
    if (n_cells(pair) == 0) {
      readings[0].push_back(pair);
    } else {
      readings.push_back({pair});
    }
  }
  if (readings[0].empty()) readings.erase(readings.begin());
  return readings;
}

std::int32_t Sweep::n_predict(const Sample& sample) const {
  return options_.n_predict > 0 ? options_.n_predict : sample.max_new_tokens;
}

std::vector<Token> Sweep::prompt(const Sample& sample, const PromptTokens& tokens) const {
  if (options_.query == Query::aware) return tokens.whole();
  if (sample.document.empty()) {
    throw UsageError(
        fmt::format("{} has no document apart from its question, so there is nothing to compress "
                    "without knowing it; use --query aware",
                    sample.source));
  }
  return tokens.document();
}

std::int32_t Sweep::n_observed_answer_tokens(const Plan& plan) const {
  return options_.query == Query::aware && !plan.method->keeps_all() ? plan.method->request().after : 0;
}

Sweep::Size Sweep::size(const Sample& sample) const {
  if (options_.buffer > 0 && sample.questions.size() > 1)
    throw UsageError(
        "several questions on one document cannot be asked while answers are held to a budget; "
        "leave the buffer out");
  const bool in_pieces = options_.n_cells > 0;
  if (in_pieces && sample.questions.size() > 1)
    for (const Plan& pair : pairs_)
      if (n_observed_answer_tokens(pair) > 0)
        throw UsageError(fmt::format(
            "{} compresses within the first answer, and with --cells the prompt does not come back for the "
            "questions after it; use after=0 for samples with several questions",
            pair.method->spec()));
  const PromptTokens tokens(*model_, sample, options_.use_template);
  Size size;
  size.prompt = std::int32_t(prompt(sample, tokens).size());
  for (std::size_t i = 0; i < sample.questions.size(); ++i) {
    // The previous answer is read again as text: a byte of it that was not UTF-8 becomes up to three tokens.
    if (i > 0) size.rest += std::int32_t(tokens.turn("", i).size()) + 2 * n_predict(sample);
    if (i == 0 && options_.query == Query::agnostic) size.rest += std::int32_t(tokens.question(i).size());
    size.rest += size.last = n_predict(sample);
  }
  return size;
}

std::int32_t Sweep::n_cells(const Size& size, std::span<const std::size_t> pairs) const {
  std::int32_t most = 0, observed = 0;
  std::vector<std::int32_t> kept;  // entries that each pair keeps of a prompt read whole
  for (const std::size_t pair : pairs) {
    const std::int32_t cells = n_cells(pair);
    most = std::max(most, cells > 0 ? cells : size.prompt);
    if (cells > 0) continue;
    const std::int32_t after = n_observed_answer_tokens(pairs_[pair]);
    observed = std::max(observed, after);
    // A conversation goes on in the full cache where its first answer ended before the compression.
    const bool may_stay_whole = after > 0 && size.rest > size.last;
    kept.push_back(may_stay_whole ? size.prompt : most_kept(pairs_[pair], size.prompt));
  }
  std::int32_t together = 0;
  if (options_.parallel > 1 && kept.size() > 1) {
    std::sort(kept.begin(), kept.end(), std::greater<>());
    kept.resize(std::min(kept.size(), std::size_t(options_.parallel)));
    together = size.prompt + observed;  // the full cache, restored for the last pair
    // The cells of sliding-window layers are not compressed.
    const std::int32_t window = std::min(model_->info().window, size.prompt);
    for (const std::int32_t n : kept) together += std::max(n, window) + size.rest;
  }
  return std::max(most + size.rest, together);
}

void Sweep::reserve(std::int32_t n_cells) {
  if (session_ && n_reserved_ >= n_cells) return;
  session_.reset();  // frees its memory for the next one
  kept_.reset();
  n_reserved_ = n_cells;
  const auto rounded = std::int32_t(text::round_up_cells(n_cells));
  session_ = open_(rounded);
  if (open_kept_) kept_ = open_kept_(rounded);
}

void Sweep::run(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
                const Sample* next) {
  reserve(n_cells(size(sample), pairs));
  if (n_cells(pairs.front()) > 0) {
    run_bounded(sample, pairs.front(), events);
  } else {
    run_shared(sample, pairs, events, next);
  }
}

void Sweep::read(std::span<const Token> tokens, std::span<const Plan> plans, const Sample* next,
                 const Progress& progress) {
  const std::int32_t n_ubatch = session_->options().n_ubatch;
  std::size_t n_next = 0;
  if (next != nullptr)
    n_next =
        shared_prefix(tokens, prompt(*next, PromptTokens(*model_, *next, options_.use_template)), n_ubatch);
  const std::vector<Plan> collected = history_plans(plans);
  for (SequenceId each = 0; each < session_->options().n_sequences; ++each)
    session_->sequence(each).clear();  // also drops what interrupted answers left
  std::size_t n_read = 0;
  const bool known =
      beginning_.n_entries > 0 && continues_prefix(tokens, beginning_.tokens, n_ubatch) &&
      std::all_of(plans.begin(), plans.end(), [&](const Plan& p) { return has_history(beginning_, p); });
  if (known) {
    session_->sequence().restore(beginning_);
    n_read = beginning_.tokens.size();
  } else {
    beginning_ = {};
  }
  const auto tell = [&](const ReadState& read) {
    ReadState whole = read;
    whole.done += std::int64_t(n_read);
    whole.total = std::int64_t(tokens.size());
    return !progress || progress(whole);
  };
  if (n_next > n_read) {
    session_->sequence().prefill(tokens.subspan(n_read, n_next - n_read), collected, tell);
    beginning_ = prefix_snapshot(session_->sequence(), collected);
    n_read = n_next;
  }
  session_->sequence().prefill(tokens.subspan(n_read), plans, tell);
}

Session& Sweep::prepare_answering_session() {
  if (!kept_) return *session_;
  kept_->sequence().restore(kept_->converted(session_->sequence().snapshot()));
  return *kept_;
}

void Sweep::run_shared(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
                       const Sample* next) {
  const PromptTokens tokens(*model_, sample, options_.use_template);
  const std::vector<Token> asked = prompt(sample, tokens);
  std::vector<Plan> plans;
  std::set<std::int32_t> observed;
  for (const std::size_t pair : pairs) {
    plans.push_back(pairs_[pair]);
    plans.back().at_once = n_observed_answer_tokens(plans.back()) == 0;
    if (!plans.back().at_once) observed.insert(n_observed_answer_tokens(plans.back()));
  }

  Outcome common;
  common.prompt_tokens = std::int32_t(asked.size());
  const Elapsed elapsed(*session_);
  read(asked, plans, next, events.reading);
  common.bytes_before = session_->sequence().use().bytes_used;
  const std::vector<float> logits = in_vector(session_->logits());
  const bool is_asked_again = sample.questions.size() > 1;
  SampleReading reading;
  reading.prompt_end = session_->sequence().checkpoint();
  reading.first = first_tokens(sample, logits, std::vector<std::int32_t>(observed.begin(), observed.end()));
  elapsed.add_to(common.ms);
  for (std::size_t i = 0; i < plans.size(); ++i)  // copies, as reading a question replaces them
    reading.selections.push_back(session_->sequence().has_chosen(i) ? session_->sequence().selection(i)
                                                                    : Selection());
  if (!reading.first.empty() && (plans.size() > 1 || is_asked_again))
    reading.full = session_->sequence().snapshot();

  const auto n_lanes = std::size_t(options_.parallel);
  for (std::size_t first = 0; first < plans.size(); first += n_lanes) {
    std::vector<Slot> slots;
    for (std::size_t i = first; i < std::min(plans.size(), first + n_lanes); ++i) {
      Slot slot = {.outcome = common, .sequence = SequenceId(i - first)};
      slot.outcome.pair = pairs[i];
      prepare_slot(slot, reading, plans, i, is_asked_again);
      slots.push_back(std::move(slot));
    }
    const auto n = SequenceId(slots.size());
    answer(sample, tokens, logits, std::move(slots), events);
    for (std::size_t i = first; i < std::min(plans.size(), first + n_lanes); ++i) reading.selections[i] = {};
    for (SequenceId slot = 1; slot < n; ++slot) session_->sequence(slot).clear();
  }
}

void Sweep::run_bounded(const Sample& sample, std::size_t pair, const SweepEvents& events) {
  const PromptTokens tokens(*model_, sample, options_.use_template);
  const std::vector<Token> asked = prompt(sample, tokens);
  const bool has_question = options_.query == Query::aware && !sample.document.empty();
  Reading reading = {.plan = pairs_[pair],
                     .observer = options_.observer,
                     .n_question = has_question ? std::int32_t(tokens.question(0).size()) : 0,
                     .n_cells = options_.n_cells};
  reading.plan.at_once = n_observed_answer_tokens(reading.plan) == 0;

  session_->sequence().clear();
  Slot slot;
  slot.outcome.pair = pair;
  slot.outcome.prompt_tokens = std::int32_t(asked.size());
  const Elapsed elapsed(*session_);
  session_->sequence().read(asked, reading, events.reading);
  const std::vector<float> logits = in_vector(session_->logits());
  slot.n_kept = session_->sequence().n_entries();
  std::vector<FirstTokens> first;
  if (const std::int32_t count = session_->sequence().n_until_compression(); count > 0) {
    first = first_tokens(sample, logits, {{count}});
    slot.first = &first.front();
    if (slot.first->is_paused()) slot.n_kept = session_->sequence().n_entries() - count;
  }
  elapsed.add_to(slot.outcome.ms);
  const CacheUse use = session_->sequence().use();
  slot.outcome.bytes_before = use.bytes_used / std::uint64_t(use.cells_used) * std::uint64_t(asked.size());
  std::vector<Slot> slots;
  slots.push_back(std::move(slot));
  answer(sample, tokens, logits, std::move(slots), events);
}

}  // namespace chunkkv::eval
