#include "runner/sweep.h"

#include "session/attention_history.h"
#include "session/stopwatch.h"
#include "text/limit_answer.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <utility>

namespace chunkkv::eval {
namespace {

/// Attention works on multiples of this many cells.
constexpr std::int32_t kCellStep = 256;

/// What the session's clocks say of everything after this was made.
class Elapsed {
 public:
  explicit Elapsed(const Session& session) : session_(session), start_(session.timings()) {}

  void add_to(Outcome::Milliseconds& ms) const {
    const Timings& now = session_.timings();
    ms.observe += now.observe - start_.observe;
    ms.select += now.select - start_.select;
    ms.prefill +=
        now.prefill - start_.prefill - (now.observe - start_.observe) - (now.select - start_.select);
    ms.move += now.move - start_.move;
  }

 private:
  const Session& session_;
  Timings start_;
};

std::vector<float> copy(std::span<const float> logits) {
  return {logits.begin(), logits.end()};
}

bool begins_with(std::span<const Token> tokens, std::span<const Token> beginning) {
  return tokens.size() >= beginning.size() && std::equal(beginning.begin(), beginning.end(), tokens.begin());
}

/// How many first tokens of two prompts can be read once for both: whole micro-batches, and at least one
/// remains, so that everything is computed as it is in one reading.
std::size_t common_beginning(std::span<const Token> a, std::span<const Token> b, std::size_t n_ubatch) {
  const std::size_t shorter = std::min(a.size(), b.size());
  const auto differ = std::mismatch(a.begin(), a.begin() + std::ptrdiff_t(shorter), b.begin());
  const auto n_same = std::size_t(differ.first - a.begin());
  const std::size_t most = std::min(n_same, shorter - std::min(shorter, n_ubatch));
  return most / n_ubatch * n_ubatch;
}

/// Entries that a plan keeps of so many at most, in the layer that keeps most.
std::int32_t most_kept(const Plan& plan, std::int32_t n_entries) {
  return plan.method->layer_budgets() ? n_entries : plan.at(n_entries, n_entries, 1).target.budget;
}

bool reads_all_queries(const Plan& plan) {
  return plan.method->request().queries == Queries::all;
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

std::int32_t Sweep::n_observed(const Plan& plan) const {
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
      if (n_observed(pair) > 0)
        throw UsageError(fmt::format(
            "{} compresses within the first answer, and with --cells the prompt does not come back for the "
            "questions after it; use after=0 for samples with several questions",
            pair.method->spec()));
  const PromptTokens tokens(*model_, sample, options_.use_template);
  Size size;
  size.prompt = std::int32_t(prompt(sample, tokens).size());
  for (std::size_t i = 0; i < sample.questions.size(); ++i) {
    // The answer before comes back as text; what was no UTF-8 in it has become up to three tokens a byte.
    if (i > 0) size.rest += std::int32_t(tokens.turn("", i).size()) + 2 * n_predict(sample);
    if (i == 0 && options_.query == Query::agnostic) size.rest += std::int32_t(tokens.question(i).size());
    size.rest += size.last = n_predict(sample);
  }
  return size;
}

std::int32_t Sweep::n_cells(const Size& size, std::span<const std::size_t> pairs) const {
  std::int32_t most = 0, observed = 0;
  std::vector<std::int32_t> kept;  // by those that are answered together
  for (const std::size_t pair : pairs) {
    const std::int32_t cells = n_cells(pair);
    most = std::max(most, cells > 0 ? cells : size.prompt);
    if (cells > 0) continue;
    const std::int32_t after = n_observed(pairs_[pair]);
    observed = std::max(observed, after);
    // A conversation goes on in the whole cache where its first answer ended before that was compressed.
    const bool may_stay_whole = after > 0 && size.rest > size.last;
    kept.push_back(may_stay_whole ? size.prompt : most_kept(pairs_[pair], size.prompt));
  }
  std::int32_t together = 0;
  if (options_.parallel > 1 && kept.size() > 1) {
    std::sort(kept.begin(), kept.end(), std::greater<>());
    kept.resize(std::min(kept.size(), std::size_t(options_.parallel)));
    together = size.prompt + observed;  // the cache that is brought back for the last one
    for (const std::int32_t n : kept) together += n + size.rest;
  }
  return std::max(most + size.rest, together);
}

void Sweep::reserve(std::int32_t n_cells) {
  if (session_ && n_reserved_ >= n_cells) return;
  session_.reset();  // before the next one takes its memory
  kept_.reset();
  n_reserved_ = n_cells;
  const std::int32_t rounded = (n_cells + kCellStep - 1) / kCellStep * kCellStep;
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
  const auto n_ubatch = std::size_t(session_->options().n_ubatch);
  std::size_t n_next = 0;
  if (next != nullptr)
    n_next = common_beginning(tokens, prompt(*next, PromptTokens(*model_, *next, options_.use_template)),
                              n_ubatch);
  // What all queries attended to must have been seen from the first one on.
  std::vector<Plan> all;
  std::set<std::int32_t> strides;
  for (const Plan& plan : plans)
    if (reads_all_queries(plan) && strides.insert(plan.method->request().stride).second) {
      all.emplace_back();
      all.back().method = plan.method;
      all.back().at_once = true;
    }
  const bool has_sums = std::all_of(strides.begin(), strides.end(), [&](std::int32_t stride) {
    return beginning_.attention.contains(AttentionHistory::key(0, stride));
  });

  for (Sequence each = 0; each < session_->options().n_sequences; ++each)
    session_->clear(each);  // answers that were interrupted, too
  std::size_t n_read = 0;
  const bool known = beginning_.n_entries > 0 && begins_with(tokens, beginning_.tokens) &&
                     tokens.size() >= beginning_.tokens.size() + n_ubatch && has_sums;
  if (known) {
    session_->restore(beginning_);
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
    session_->prefill(tokens.subspan(n_read, n_next - n_read), all, tell);
    beginning_ = session_->snapshot();
    if (all.empty()) beginning_.attention.clear();
    n_read = n_next;
  }
  session_->prefill(tokens.subspan(n_read), plans, tell);
}

Session& Sweep::hand_over() {
  if (!kept_) return *session_;
  kept_->restore(kept_->converted(session_->snapshot()));
  return *kept_;
}

text::GenerateOptions Sweep::generate_options(const Sample& sample) const {
  return {.n_predict = n_predict(sample),
          .find_end = [&sample](std::string_view text) { return find_stop(text, sample.stops); },
          .interrupted = options_.interrupted};
}

std::vector<Sweep::FirstTokens> Sweep::first_tokens(const Sample& sample, std::span<const float> logits,
                                                    std::span<const std::int32_t> counts) {
  std::vector<FirstTokens> result;
  text::Sampler sampler(*model_, options_.sampling);
  std::vector<float> next = copy(logits);
  text::Answer answer;
  answer.stop = text::Stop::pause;
  for (const std::int32_t count : counts) {
    text::GenerateOptions options = generate_options(sample);
    options.pause_after = count;
    answer = text::go_on(*session_, next, sampler, std::move(answer), options);
    if (answer.stop == text::Stop::signal) throw Interrupted("interrupted while answering");
    if (answer.stop == text::Stop::pause) next = copy(session_->logits());
    result.push_back({.count = count, .answer = answer, .sampler = sampler, .logits = next});
  }
  return result;
}

const Sweep::FirstTokens* Sweep::Whole::first_of(std::int32_t count) const {
  const auto found = std::find_if(first.begin(), first.end(),
                                  [&](const FirstTokens& tokens) { return tokens.count == count; });
  return found == first.end() ? nullptr : &*found;
}

void Sweep::open_lane(Lane& lane, Whole& whole, std::span<const Plan> plans, std::size_t index,
                      bool is_asked_again) {
  const Plan& plan = plans[index];
  const std::int32_t n_prompt = lane.outcome.prompt_tokens;
  lane.first = whole.first_of(n_observed(plan));
  lane.n_kept = n_prompt;
  // An answer that ended before it was compressed is known, and needs no cache.
  const bool is_answered = lane.first != nullptr && !lane.first->are_all();
  if (is_answered && !is_asked_again) return;
  const std::int32_t n_entries = n_prompt + (lane.first != nullptr && !is_answered ? lane.first->count : 0);
  if (whole.in_session && lane.sequence == 0) {
    session_->truncate(n_entries);
  } else {
    const Stopwatch watch(lane.outcome.ms.restore);
    session_->restore(*whole.full, lane.sequence);
    session_->truncate(n_entries, lane.sequence);
  }
  const bool compresses = !plan.method->keeps_all() && !is_answered;
  if (!whole.full && index + 1 < plans.size() && (compresses || options_.parallel > 1))
    whole.full = session_->snapshot();
  // The answer's first tokens are in the copy only, once a lane has gone on.
  if (lane.sequence == 0) whole.in_session = whole.in_session && !compresses && whole.first.empty();
  if (!compresses) return;
  const Elapsed compression(*session_);
  const Selection& chosen = whole.selections[index];
  session_->compress(chosen, lane.sequence);
  compression.add_to(lane.outcome.ms);
  lane.n_kept = session_->n_entries(lane.sequence) - (n_entries - n_prompt);
  if (lane.first == nullptr || !is_asked_again) return;
  lane.rewind = [this, &whole, &chosen, n_prompt, sequence = lane.sequence]() -> Session& {
    session_->restore(*whole.full, sequence);
    session_->truncate(n_prompt, sequence);
    session_->compress(chosen, sequence);
    return hand_over();
  };
}

void Sweep::run_shared(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
                       const Sample* next) {
  const PromptTokens tokens(*model_, sample, options_.use_template);
  const std::vector<Token> asked = prompt(sample, tokens);
  std::vector<Plan> plans;
  std::set<std::int32_t> observed;
  for (const std::size_t pair : pairs) {
    plans.push_back(pairs_[pair]);
    plans.back().at_once = n_observed(plans.back()) == 0;
    if (!plans.back().at_once) observed.insert(n_observed(plans.back()));
  }

  Outcome common;
  common.prompt_tokens = std::int32_t(asked.size());
  const Elapsed reading(*session_);
  read(asked, plans, next, events.reading);
  common.bytes_before = session_->use(0).bytes_used;
  const std::vector<float> logits = copy(session_->logits());
  const bool is_asked_again = sample.questions.size() > 1;
  Whole whole;
  whole.first = first_tokens(sample, logits, std::vector<std::int32_t>(observed.begin(), observed.end()));
  reading.add_to(common.ms);
  for (std::size_t i = 0; i < plans.size(); ++i)  // a question's reading replaces the session's
    whole.selections.push_back(session_->has_chosen(i) ? session_->selection(i) : Selection());
  if (!whole.first.empty() && (plans.size() > 1 || is_asked_again)) whole.full = session_->snapshot();

  const auto n_lanes = std::size_t(options_.parallel);
  for (std::size_t first = 0; first < plans.size(); first += n_lanes) {
    std::vector<Lane> lanes;
    for (std::size_t i = first; i < std::min(plans.size(), first + n_lanes); ++i) {
      Lane lane = {.outcome = common, .sequence = Sequence(i - first)};
      lane.outcome.pair = pairs[i];
      open_lane(lane, whole, plans, i, is_asked_again);
      lanes.push_back(std::move(lane));
    }
    const auto n = Sequence(lanes.size());
    answer(sample, tokens, logits, std::move(lanes), events);
    for (std::size_t i = first; i < std::min(plans.size(), first + n_lanes); ++i) whole.selections[i] = {};
    for (Sequence lane = 1; lane < n; ++lane) session_->clear(lane);
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
  reading.plan.at_once = n_observed(reading.plan) == 0;

  session_->clear();
  Lane lane;
  lane.outcome.pair = pair;
  lane.outcome.prompt_tokens = std::int32_t(asked.size());
  const Elapsed elapsed(*session_);
  session_->read(asked, reading, events.reading);
  const std::vector<float> logits = copy(session_->logits());
  lane.n_kept = session_->n_entries();
  std::vector<FirstTokens> first;
  if (const std::int32_t count = session_->n_until_compression(); count > 0) {
    first = first_tokens(sample, logits, {{count}});
    lane.first = &first.front();
    if (lane.first->are_all()) lane.n_kept = session_->n_entries() - count;
  }
  elapsed.add_to(lane.outcome.ms);
  const CacheUse use = session_->use(0);
  lane.outcome.bytes_before = use.bytes_used / std::uint64_t(use.cells_used) * std::uint64_t(asked.size());
  std::vector<Lane> lanes;
  lanes.push_back(std::move(lane));
  answer(sample, tokens, logits, std::move(lanes), events);
}

void Sweep::answer(const Sample& sample, const PromptTokens& tokens, std::span<const float> logits,
                   std::vector<Lane> lanes, const SweepEvents& events) {
  Session& session = hand_over();
  for (Lane& lane : lanes) {
    const CacheUse use = session.use();
    lane.outcome.kept_tokens = lane.n_kept;
    lane.outcome.ended_before = lane.first != nullptr && !lane.first->are_all();
    lane.outcome.bytes_after =
        use.bytes_allocated / std::uint64_t(use.cells_allocated) * std::uint64_t(lane.n_kept);
  }
  const text::GenerateOptions options = generate_options(sample);
  for (std::size_t question = 0; question < sample.questions.size(); ++question) {
    std::vector<std::unique_ptr<text::Sampler>> samplers;
    std::vector<text::Beginning> beginnings;
    std::vector<std::int32_t> n_compressions;
    for (Lane& lane : lanes) {
      ask(session, tokens, question, logits, lane);
      n_compressions.push_back(session.n_compressions(lane.sequence));
      if (options_.buffer > 0)
        text::limit_answer(session, pairs_[lane.outcome.pair], options_.buffer, n_predict(sample));
      const FirstTokens* first = question == 0 ? lane.first : nullptr;
      samplers.push_back(first != nullptr ? std::make_unique<text::Sampler>(first->sampler)
                                          : std::make_unique<text::Sampler>(*model_, options_.sampling));
      beginnings.push_back(
          {.sequence = lane.sequence, .logits = lane.logits, .sampler = samplers.back().get()});
      if (first != nullptr) beginnings.back().before = first->answer;
    }
    std::vector<text::Answer> answers = text::generate_together(session, beginnings, options);
    session.unlimit();
    for (const text::Answer& each : answers)
      if (each.stop == text::Stop::signal) throw Interrupted("interrupted while answering");
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      Outcome& outcome = lanes[i].outcome;
      outcome.answer = std::move(answers[i]);
      outcome.compressions = session.n_compressions(lanes[i].sequence) - n_compressions[i];
      outcome.ms.first_token += outcome.answer.first_ms;
      events.answered(outcome);
    }
  }
}

/// Brings the lane to where the answer to `question` begins.
void Sweep::ask(Session& session, const PromptTokens& tokens, std::size_t question,
                std::span<const float> logits, Lane& lane) {
  const bool agnostic = options_.query == Query::agnostic;
  Outcome& outcome = lane.outcome;
  std::vector<Token> asked;
  if (question == 1 && lane.rewind) {
    lane.rewind();
    lane.n_before_answer = session.n_entries(lane.sequence);
  }
  if (question == 0) {
    if (agnostic) asked = tokens.question(0);
  } else if (options_.separate_questions) {
    session.truncate(outcome.kept_tokens, lane.sequence);
    asked = agnostic ? tokens.question(question) : tokens.turn("", question);
  } else {
    session.truncate(lane.n_before_answer, lane.sequence);
    asked = tokens.turn(outcome.answer.text, question);
  }
  outcome.question = question;
  outcome.ms.first_token = 0;
  const Stopwatch first(outcome.ms.first_token);
  if (!asked.empty())
    session.prefill(
        asked, {}, [this](const ReadState&) { return !options_.interrupted || !options_.interrupted(); },
        lane.sequence);
  lane.n_before_answer = session.n_entries(lane.sequence);
  if (!asked.empty())
    lane.logits = copy(session.logits());
  else
    lane.logits = question == 0 && lane.first != nullptr ? lane.first->logits : copy(logits);
}

}  // namespace chunkkv::eval
