#include "runner/sweep.h"

#include "session/stopwatch.h"
#include "text/limit_answer.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
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
  if (plan.method->keeps_all() || plan.method->layer_budgets()) return n_entries;
  return std::min(n_entries, plan.budget.resolve(n_entries));
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

Sweep::Size Sweep::size(const Sample& sample) const {
  if (options_.buffer > 0 && sample.questions.size() > 1)
    throw UsageError(
        "several questions on one document cannot be asked while answers are held to a budget; "
        "leave the buffer out");
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
  std::int32_t most = 0;
  std::vector<std::int32_t> kept;  // by those that are answered together
  for (const std::size_t pair : pairs) {
    const std::int32_t cells = n_cells(pair);
    most = std::max(most, cells > 0 ? cells : size.prompt);
    if (cells == 0) kept.push_back(most_kept(pairs_[pair], size.prompt));
  }
  std::int32_t together = 0;
  if (options_.parallel > 1 && kept.size() > 1) {
    std::sort(kept.begin(), kept.end(), std::greater<>());
    kept.resize(std::min(kept.size(), std::size_t(options_.parallel)));
    together = size.prompt;  // the cache that is brought back for the last one
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
  Plan all;
  const auto reads_all = std::find_if(plans.begin(), plans.end(), reads_all_queries);
  if (reads_all != plans.end()) all.method = reads_all->method;

  for (Sequence each = 0; each < session_->options().n_sequences; ++each)
    session_->clear(each);  // answers that were interrupted, too
  std::size_t n_read = 0;
  const bool known = beginning_.n_entries > 0 && begins_with(tokens, beginning_.tokens) &&
                     tokens.size() >= beginning_.tokens.size() + n_ubatch &&
                     (!all.method || !beginning_.attention.empty());
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
    session_->prefill(tokens.subspan(n_read, n_next - n_read), {&all, std::size_t(all.method ? 1 : 0)}, tell);
    beginning_ = session_->snapshot();
    if (!all.method) beginning_.attention.clear();
    n_read = n_next;
  }
  session_->prefill(tokens.subspan(n_read), plans, tell);
}

Session& Sweep::hand_over() {
  if (!kept_) return *session_;
  kept_->restore(kept_->converted(session_->snapshot()));
  return *kept_;
}

void Sweep::run_shared(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
                       const Sample* next) {
  const PromptTokens tokens(*model_, sample, options_.use_template);
  const std::vector<Token> asked = prompt(sample, tokens);
  std::vector<Plan> plans;
  for (const std::size_t pair : pairs) plans.push_back(pairs_[pair]);

  Outcome common;
  common.prompt_tokens = std::int32_t(asked.size());
  const Elapsed reading(*session_);
  read(asked, plans, next, events.reading);
  reading.add_to(common.ms);
  common.bytes_before = session_->use(0).bytes_used;
  const std::vector<float> logits = copy(session_->logits());
  std::vector<Selection> selections;  // a question's reading replaces the session's
  for (std::size_t i = 0; i < plans.size(); ++i) selections.push_back(session_->selection(i));

  const auto n_lanes = std::size_t(options_.parallel);
  std::optional<Snapshot> full;
  bool is_whole = true;  // sequence 0 still holds the reading
  for (std::size_t first = 0; first < plans.size(); first += n_lanes) {
    std::vector<Lane> lanes;
    for (std::size_t i = first; i < std::min(plans.size(), first + n_lanes); ++i) {
      Lane lane = {.outcome = common, .sequence = Sequence(i - first)};
      lane.outcome.pair = pairs[i];
      if (is_whole && lane.sequence == 0) {
        session_->truncate(common.prompt_tokens);
      } else {
        const Stopwatch watch(lane.outcome.ms.restore);
        session_->restore(*full, lane.sequence);
      }
      const Elapsed compression(*session_);
      const bool compresses = !plans[i].method->keeps_all();
      if (!full && i + 1 < plans.size() && (compresses || n_lanes > 1)) full = session_->snapshot();
      if (compresses) {
        session_->compress(selections[i], lane.sequence);
        if (lane.sequence == 0) is_whole = false;
      }
      selections[i] = {};
      compression.add_to(lane.outcome.ms);
      lanes.push_back(std::move(lane));
    }
    const auto n = Sequence(lanes.size());
    answer(sample, tokens, logits, std::move(lanes), events);
    for (Sequence lane = 1; lane < n; ++lane) session_->clear(lane);
  }
}

void Sweep::run_bounded(const Sample& sample, std::size_t pair, const SweepEvents& events) {
  const PromptTokens tokens(*model_, sample, options_.use_template);
  const std::vector<Token> asked = prompt(sample, tokens);
  const bool has_question = options_.query == Query::aware && !sample.document.empty();
  const Reading reading = {.plan = pairs_[pair],
                           .observer = options_.observer,
                           .n_question = has_question ? std::int32_t(tokens.question(0).size()) : 0,
                           .n_cells = options_.n_cells};

  session_->clear();
  Outcome outcome;
  outcome.pair = pair;
  outcome.prompt_tokens = std::int32_t(asked.size());
  const Elapsed elapsed(*session_);
  session_->read(asked, reading, events.reading);
  elapsed.add_to(outcome.ms);
  const std::vector<float> logits = copy(session_->logits());
  const CacheUse use = session_->use(0);
  outcome.bytes_before = use.bytes_used / std::uint64_t(use.cells_used) * std::uint64_t(asked.size());
  answer(sample, tokens, logits, {{.outcome = std::move(outcome)}}, events);
}

void Sweep::answer(const Sample& sample, const PromptTokens& tokens, std::span<const float> logits,
                   std::vector<Lane> lanes, const SweepEvents& events) {
  Session& session = hand_over();
  for (Lane& lane : lanes) {
    lane.outcome.kept_tokens = session.n_entries(lane.sequence);
    lane.outcome.bytes_after = session.use(lane.sequence).bytes_used;
  }
  const text::GenerateOptions options = {
      .n_predict = n_predict(sample),
      .find_end = [&](std::string_view text) { return find_stop(text, sample.stops); },
      .interrupted = options_.interrupted};
  for (std::size_t question = 0; question < sample.questions.size(); ++question) {
    std::vector<std::unique_ptr<text::Sampler>> samplers;
    std::vector<text::Beginning> beginnings;
    std::vector<std::int32_t> n_compressions;
    for (Lane& lane : lanes) {
      ask(session, tokens, question, logits, lane);
      n_compressions.push_back(session.n_compressions(lane.sequence));
      if (options_.buffer > 0)
        text::limit_answer(session, pairs_[lane.outcome.pair], options_.buffer, n_predict(sample));
      samplers.push_back(std::make_unique<text::Sampler>(*model_, options_.sampling));
      beginnings.push_back(
          {.sequence = lane.sequence, .logits = lane.logits, .sampler = samplers.back().get()});
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
  lane.logits = asked.empty() ? copy(logits) : copy(session.logits());
}

}  // namespace chunkkv::eval
