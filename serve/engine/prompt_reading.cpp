#include "serve/engine/prompt_reading.h"

#include <chunkkv/prefix.h>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv::serve {
namespace {

/// Most cells that are set aside for an answer, and those for an answer without a limit.
constexpr std::int32_t kAnswerReserve = 256;
/// A compressed conversation is compressed again when it has outgrown its budget by a quarter and by this
/// many entries, so that the newest turns stay whole.
constexpr std::int32_t kTurnSlack = 256;

/// Entries that are kept at least beside the protected ones and the window.
constexpr std::int32_t kLeastBesideProtected = 16;
/// The shortest piece that is worth reading between two compressions.
constexpr std::int32_t kShortestPiece = 64;

std::int32_t reserve_of(const Task& task) {
  return task.n_predict < 0 ? kAnswerReserve : std::min(task.n_predict, kAnswerReserve);
}

}  // namespace

Plan plan_of(const Task& task) {
  const auto n = std::int32_t(task.prompt.tokens.size());
  Plan plan{.method = task.kv.method,
            .budget = task.kv.keep,
            .protect_first = task.kv.protect < 0 ? task.prompt.n_system : std::min(task.kv.protect, n),
            .fit_window = true,
            .keep_at_least = task.kv.keep_at_least};
  if (!task.kv.compresses()) return plan;
  // A long system prompt, one with tools for example, may exceed a small share.
  const std::int32_t least =
      plan.protect_first + std::max(plan.method->request().window, 1) + kLeastBesideProtected;
  if (plan.n_to_keep(n) < least && plan.protect_first > 0) plan.budget = Budget::tokens(least);
  return plan;
}

ReadingShape shape_of(const Task& task, const ReadingBase& base, const Session& session) {
  using Kind = ReadingShape::Kind;
  const auto n = std::int32_t(task.prompt.tokens.size());
  const std::int32_t total = session.options().n_cells, trained = session.model().info().n_ctx_train;
  const std::int32_t n_new = n - base.n_reused, whole = base.n_entries + n_new;
  const std::int32_t reserve = reserve_of(task);
  if (n > std::max(trained, total))
    throw UsageError(fmt::format("the prompt has {} tokens, but the model was trained for {}", n, trained));

  ReadingShape shape{.n_reused = base.n_reused};
  if (task.prompt_probs || !task.kv.compresses()) {
    shape.kind = task.prompt_probs ? Kind::evaluate : Kind::plain;
    shape.peak = shape.cells_after = whole + reserve;
    if (whole + (task.n_predict == 0 ? 0 : 1) > total)
      throw UsageError(fmt::format(
          "the prompt has {} tokens, but the cache {} cells, and nothing is dropped of it (method full); "
          "choose a method in kv, or give the server more cells with -c",
          n, total));
    shape.peak = shape.cells_after = std::min(shape.peak, total);
    return shape;
  }

  const Plan plan = plan_of(task);
  const std::int32_t budget = std::min(plan.n_to_keep(n), whole);
  const std::int32_t bound = task.kv.cells > 0 ? std::min(task.kv.cells, total) : total;
  const std::int32_t after = plan.method->request().after;
  const bool outgrows = base.is_compressed ? whole > budget + budget / 4 + kTurnSlack : whole > budget;
  if (!outgrows && whole + reserve <= bound) {
    shape.kind = Kind::plain;
    shape.peak = shape.cells_after = whole + reserve;
    return shape;
  }
  shape.cells_after = std::min(bound, budget + std::max(reserve, after));
  if (whole + after <= bound) {
    shape.kind = Kind::compress;
    shape.peak = std::max(whole + after, shape.cells_after);
    if (task.kv.source && !base.is_compressed) {
      const auto copied = std::int32_t(source_length(std::size_t(n), plan, session.options().n_ubatch));
      shape.n_source = copied > base.n_reused ? copied : 0;
    }
    return shape;
  }
  if (task.kv.source)
    throw UsageError(
        fmt::format("kv.source needs cells for the whole prompt of {} tokens while it is read, and there "
                    "are {}; leave it out, or give more cells",
                    n, bound));
  shape.kind = Kind::pieces;
  shape.cells = shape.peak = bound;
  return shape;
}

std::int32_t least_cells(const KvSettings& kv, std::int32_t most) {
  const Plan plan{
      .method = kv.method, .budget = kv.keep, .fit_window = true, .keep_at_least = kv.keep_at_least};
  const ObservationRequest request = kv.method->request();
  const std::int32_t piece = std::max(kShortestPiece, request.window + request.after);
  for (std::int32_t cells = std::max(kv.cells, 1); cells <= most; ++cells)
    if (std::int64_t(plan.n_to_keep(cells + 1)) + piece <= cells) return cells;
  return 0;
}

PromptReading::PromptReading(Sequence& sequence, const Task& task, const ReadingShape& shape,
                             std::function<void(Snapshot)> on_source)
    : sequence_(sequence),
      task_(task),
      shape_(shape),
      on_source_(std::move(on_source)),
      plan_(plan_of(task)),
      done_(shape.n_reused) {
  if (shape_.kind == ReadingShape::Kind::evaluate) {
    outputs_.resize(task.prompt.tokens.size());
    if (!outputs_.empty())
      outputs_[0] = {.token = task.prompt.tokens[0],
                     .text = sequence.session().model().detokenize(task.prompt.tokens[0])};
  } else if (shape_.n_source > 0) {
    begin_source();
  } else {
    begin_rest();
  }
}

void PromptReading::begin_source() {
  in_source_ = true;
  const auto part =
      std::span(task_.prompt.tokens).subspan(std::size_t(done_), std::size_t(shape_.n_source - done_));
  sequence_.start_prefill(part, history_plans({&plan_, 1}));
}

void PromptReading::begin_rest() {
  in_source_ = false;
  const auto rest = std::span(task_.prompt.tokens).subspan(std::size_t(done_));
  if (rest.empty()) return;
  switch (shape_.kind) {
    case ReadingShape::Kind::compress:
      sequence_.start_prefill(rest, {&plan_, 1});
      break;
    case ReadingShape::Kind::pieces: {
      Reading reading{.plan = plan_, .observer = ObserverKind::window, .n_cells = shape_.cells};
      const std::int32_t n_question = task_.prompt.n_question;
      if (n_question > 0 && n_question < std::int32_t(rest.size())) {
        reading.n_question = n_question;
        reading.observer = ObserverKind::question;
      }
      const std::int32_t room =
          shape_.cells - plan_.n_to_keep(std::int32_t(task_.prompt.tokens.size())) - reading.n_question;
      reading.piece = std::clamp(room, kShortestPiece, sequence_.session().options().n_ubatch);
      sequence_.start_read(rest, reading);
      break;
    }
    default:
      sequence_.start_prefill(rest);
  }
}

void PromptReading::evaluate() {
  const std::vector<Token>& tokens = task_.prompt.tokens;
  const auto count = std::min<std::size_t>(tokens.size() - std::size_t(done_),
                                           std::size_t(sequence_.session().options().n_ubatch));
  sequence_.evaluate(std::span(tokens).subspan(std::size_t(done_), count),
                     [&](std::size_t index, std::span<const float> logits) {
                       const std::size_t next = std::size_t(done_) + index + 1;
                       if (next < tokens.size())
                         outputs_[next] =
                             probabilities(sequence_.session().model(), logits, tokens[next], task_.n_probs);
                     });
  done_ += std::int32_t(count);
  n_read_ += std::int32_t(count);
}

bool PromptReading::step() {
  if (shape_.kind == ReadingShape::Kind::evaluate) {
    if (done_ < std::int32_t(task_.prompt.tokens.size())) evaluate();
    return done_ < std::int32_t(task_.prompt.tokens.size());
  }
  const std::size_t before = sequence_.tokens().size();
  const bool goes_on = sequence_.step();
  n_read_ += std::int32_t(sequence_.tokens().size() - before);
  if (goes_on) return true;
  if (in_source_) {
    done_ = shape_.n_source;
    on_source_(prefix_snapshot(sequence_, history_plans({&plan_, 1})));
    begin_rest();
    return true;
  }
  if (shape_.kind == ReadingShape::Kind::compress && n_read_ > 0) sequence_.compress_when_chosen(0);
  return false;
}

}  // namespace chunkkv::serve
