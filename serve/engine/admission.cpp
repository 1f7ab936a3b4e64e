// The admission of a request: which cache it continues, and whether there is room for it.
#include "serve/engine/answer.h"
#include "serve/engine/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv::serve {
namespace {

/// A request waits while another one reads at least this many more tokens of their common beginning.
constexpr std::int32_t kMinTokensToWaitFor = 256;

}  // namespace

bool Scheduler::is_read_by_another(const Task& task, const Base& base) const {
  for (const Answer& answer : answers_) {
    if (answer.reading == nullptr || answer.is_finished) continue;
    std::int32_t common = common_length(task.prompt.tokens, answer.task->prompt.tokens);
    const bool stays_whole = !answer.task->kv.compresses() || answer.shape.n_source > 0;
    if (!stays_whole && !session_.can_share()) continue;
    // A prompt in pieces keeps only its protected tokens intact; any other stays whole until it is read.
    if (answer.shape.kind == ReadingShape::Kind::pieces)
      common = std::min(common, answer.conversation->n_protected);
    common = std::min(common, std::int32_t(task.prompt.tokens.size()) - 1);
    // Where the prompt would continue that conversation already, even one more token is worth waiting for.
    const bool is_begun = base.live == answer.conversation && base.copies;
    if (common >= base.n_reused + (is_begun ? 1 : kMinTokensToWaitFor)) return true;
  }
  return false;
}

bool Scheduler::shares(const Base& base) const {
  return base.live != nullptr && base.copies && session_.can_share();
}

/// Returns how many of the cells that are free now the request takes at most.
std::int32_t Scheduler::cells_needed(const Base& base, const ReadingShape& shape) const {
  const bool compresses =
      shape.kind == ReadingShape::Kind::compress || shape.kind == ReadingShape::Kind::pieces;
  if (base.in_place()) {
    const std::int32_t n_shared = base.live->sequence->use().cells_shared;
    const std::int32_t for_kept =
        compresses && n_shared > 0 ? shape.cells_after - (base.n_held - n_shared) : 0;
    return std::max({shape.peak - base.n_held, for_kept, 0});
  }
  if (!shares(base)) return std::max(shape.peak, base.n_held);
  // Entries that are kept of shared cells may need cells of their own; so may those of the other
  // conversation, if it is yet to be compressed.
  std::int32_t for_other = 0;
  for (const Answer& answer : answers_)
    if (answer.conversation == base.live && !answer.is_finished && may_compress(answer))
      for_other = std::max(answer.shape.cells_after - (answer.shape.peak - base.n_reused), 0);
  if (shape.kind == ReadingShape::Kind::pieces) return shape.peak + for_other;  // compressed repeatedly
  return std::max(shape.peak - base.n_reused, compresses ? shape.cells_after : 0) + for_other;
}

Conversation* Scheduler::take_sequence(const Base& base) {
  const std::int32_t n_reused = base.n_reused;
  if (base.in_place()) {
    conversations_.cut(*base.live, n_reused);
    return base.live;
  }
  if (shares(base)) {
    Conversation* const c = free_sequence(base.live);
    if (c != nullptr) c->sequence->share(*base.live->sequence, n_reused);
    return c;
  }
  HostCopy copy;
  if (base.live != nullptr) {
    copy = copy_of(*base.live);
  } else if (base.host != nullptr) {
    store_.use(*base.host);
    const bool goes_on = !base.host->is_source && base.n_tokens - n_reused < kMinTokensToCopy;
    copy = goes_on ? store_.take(*base.host) : *base.host;
  } else if (!base.file.empty()) {
    try {
      copy = files_.load(base.file);
    } catch (const Error&) {
      files_.forget(base.file);  // the next turn finds another beginning
      return nullptr;
    }
  }
  Conversation* const c = free_sequence(base.live);
  if (c == nullptr) return nullptr;
  if (n_reused > 0) {
    restore_into(copy, *c);
    if (const auto extra = std::int32_t(copy.snapshot.tokens.size()) - n_reused; extra > 0)
      c->sequence->truncate(c->sequence->n_entries() - extra);
  }
  return c;
}

std::string Scheduler::reread_reason(const Task& task, const Base& base) const {
  if (task.prompt_probs && base.n_known >= kMinTokensToCopy)
    return "the probability of every token of the prompt is asked for";
  if (base.n_known - base.n_reused < kMinTokensToCopy) return {};
  if (task.kv.source && base.host != nullptr && base.host->is_source)
    return "what is kept is chosen anew for this question: its source ends before what observes, which is "
           "read again";
  return base.not_reused_because;
}

/// Clears idle conversations with the choice for an earlier turn: this turn chooses anew.
void Scheduler::clear_earlier_choices(const Task& task) {
  for (Conversation& c : conversations_.all()) {
    if (c.is_busy || c.is_whole() || conversations_.is_empty(c) || c.key != task.kv.key()) continue;
    if (common_length(task.prompt.tokens, c.sequence->tokens()) >= c.n_prompt) conversations_.clear(c);
  }
}

Scheduler::Start Scheduler::start(const std::shared_ptr<Task>& task) {
  Base base = find_base(*task);
  if (task->prompt_probs) base = {.n_known = base.n_known};
  if (!task->prompt_probs && is_read_by_another(*task, base)) return Start::waits;

  const ReadingBase from{
      .n_reused = base.n_reused, .n_entries = base.n_entries(), .is_compressed = base.is_compressed};
  const ReadingShape shape = shape_of(*task, from, session_);
  // `make_room` below may push copies out of host memory, but not this one.
  struct Pin {
    HostStore& store;
    ~Pin() { store.unpin(); }
  } const pin{store_};
  store_.pin(base.host);
  const std::int32_t needed = cells_needed(base, shape);
  if (!make_room(needed, base.live)) {
    if (!answers_.empty()) return Start::waits;
    task->fail(Fault::too_long, fmt::format("the prompt of {} tokens has no room in {} cells",
                                            task->prompt.tokens.size(), session_.options().n_cells));
    return Start::failed;
  }
  if (base.live == nullptr && task->kv.source) clear_earlier_choices(*task);
  const std::string reason = reread_reason(*task, base);
  Conversation* const c = take_sequence(base);
  if (c == nullptr) return Start::waits;
  c->is_busy = true;
  if (!task->kv.name.empty()) c->name = task->kv.name;
  const Plan plan = plan_of(*task);
  c->n_protected = plan.protect_first;

  Answer& answer = answers_.emplace_back(task, *c, shape);
  answer.reread_reason = reason;
  answer.reserved_cells = shares(base) ? std::min(needed, shape.peak) : shape.peak;
  answer.n_compressions = c->sequence->n_compressions();
  try {
    answer.reading =
        std::make_unique<PromptReading>(*c->sequence, *task, shape, [this, task, c](Snapshot snapshot) {
          store_.add({.snapshot = std::move(snapshot),
                      .key = "full",
                      .name = task->kv.name,
                      .n_protected = c->n_protected,
                      .is_source = true});
        });
  } catch (const std::exception& error) {
    fail(answer, dynamic_cast<const UsageError*>(&error) != nullptr ? Fault::too_long : Fault::internal,
         error.what());
    return Start::failed;
  }
  return Start::done;
}

}  // namespace chunkkv::serve
