#include "serve/engine/scheduler.h"

#include "base/stopwatch.h"
#include "serve/engine/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace chunkkv::serve {
namespace {

using Clock = std::chrono::steady_clock;

/// Most tokens of the dropped prompts that are remembered, to say why they are read again.
constexpr std::size_t kMostDroppedTokens = 1 << 20;

}  // namespace

Scheduler::Scheduler(Session& session, PromptFiles& files, Metrics& metrics, const SchedulerOptions& options)
    : session_(session),
      files_(files),
      metrics_(metrics),
      options_(options),
      conversations_(session),
      store_(options.source_bytes, [this](const HostCopy& copy) {
        if (files_.enabled())
          files_.save_later(copy);
        else
          remember_dropped(copy.snapshot.tokens, "it had to leave host memory (--source-bytes)");
      }) {}

Scheduler::~Scheduler() = default;

bool Scheduler::submit(std::vector<std::shared_ptr<Task>> tasks) {
  {
    const std::lock_guard lock(mutex_);
    if (stops_ || n_waiting_ + tasks.size() > options_.most_queued) {
      metrics_.update([&](auto& v) { v.refused += std::int64_t(tasks.size()); });
      return false;
    }
    for (auto& task : tasks) {
      task->submitted = Clock::now();
      task->started_us = now_us();
      inbox_.push_back(std::move(task));
    }
    n_waiting_ += tasks.size();
  }
  wake_.notify_all();
  return true;
}

void Scheduler::run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (stops_) break;
    }
    try {
      if (turn()) continue;
    } catch (const std::exception& error) {  // out of memory, for example: the next request may need less
      fail_all(Fault::internal, error.what());
      continue;
    }
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::chrono::milliseconds(100),
                   [&] { return stops_ || !inbox_.empty() || !calls_.empty(); });
  }
  take_calls();  // takes in the tasks that came since the last turn: they are failed, too
  for (const auto& task : waiting_) task->fail(Fault::busy, "the server is stopping");
  waiting_.clear();
  fail_all(Fault::busy, "the server is stopping");
}

void Scheduler::fail_all(Fault fault, const std::string& message) {
  for (Answer& answer : answers_)
    if (!answer.is_finished) fail(answer, fault, message);
  answers_.clear();
}

void Scheduler::stop() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  wake_.notify_all();
}

void Scheduler::between_steps(const std::function<void()>& act) {
  std::packaged_task<void()> call(act);
  std::future<void> result = call.get_future();
  {
    const std::lock_guard lock(mutex_);
    if (stops_) throw Error("the server is stopping");
    calls_.push_back(std::move(call));
  }
  wake_.notify_all();
  result.get();
}

void Scheduler::take_calls() {
  std::deque<std::packaged_task<void()>> calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(calls_);
    for (auto& task : inbox_) waiting_.push_back(std::move(task));
    inbox_.clear();
  }
  for (auto& call : calls) call();
}

bool Scheduler::turn() {
  take_calls();
  drop_cancelled_and_overdue();
  admit();
  read_one();
  generate();
  std::erase_if(answers_, [](const Answer& answer) { return answer.is_finished; });
  publish();
  return !answers_.empty();
}

void Scheduler::drop_cancelled_and_overdue() {
  for (Answer& answer : answers_) {
    if (!answer.task->channel->is_cancelled()) continue;
    metrics_.update([](auto& v) { ++v.cancelled; });
    const bool was_reading = answer.reading != nullptr;
    release(answer);
    // Its cells are freed at once. A prompt that was read to its end is parked, so that the next try need not
    // read it again.
    if (was_reading)
      conversations_.clear(*answer.conversation);
    else
      park(*answer.conversation);
  }
  const auto now = Clock::now();
  std::erase_if(waiting_, [&](const std::shared_ptr<Task>& task) {
    if (task->channel->is_cancelled()) {
      metrics_.update([](auto& v) { ++v.cancelled; });
      return true;
    }
    if (now - task->submitted < std::chrono::seconds(options_.queue_seconds)) return false;
    task->fail(Fault::busy,
               fmt::format("the request waited {} seconds for its turn", options_.queue_seconds));
    metrics_.update([](auto& v) { ++v.refused; });
    return true;
  });
}

void Scheduler::admit() {
  while (!waiting_.empty() && std::int32_t(answers_.size()) < options_.n_parallel) {
    const std::shared_ptr<Task> task = waiting_.front();
    Start outcome = Start::failed;
    try {
      outcome = start(task);
    } catch (const UsageError& error) {
      task->fail(Fault::too_long, error.what());
    } catch (const std::exception& error) {
      task->fail(Fault::internal, error.what());
    }
    if (outcome == Start::waits) break;
    waiting_.pop_front();
    metrics_.update([&](auto& v) {
      ++v.requests;
      v.refused += outcome == Start::failed;
    });
  }
  const std::lock_guard lock(mutex_);
  n_waiting_ = waiting_.size() + inbox_.size();
}

std::int32_t Scheduler::n_free() const {
  const CacheUse use = session_.use();
  return use.cells_allocated - use.cells_used;
}

bool Scheduler::may_compress(const Answer& answer) const {
  return answer.reading != nullptr || answer.conversation->sequence->n_until_compression() > 0 ||
         (answer.task->kv.compresses() && answer.task->kv.cells > 0);
}

std::int32_t Scheduler::n_reserved() const {
  std::int32_t reserved = 0;
  for (const Answer& answer : answers_) {
    if (answer.is_finished) continue;
    const CacheUse use = answer.conversation->sequence->use();
    // A compression may need further cells for the entries that it keeps of shared ones.
    const std::int32_t held = use.cells_used - (may_compress(answer) ? use.cells_shared : 0);
    reserved += std::max(0, answer.reserved_cells - held);
  }
  return reserved;
}

bool Scheduler::make_room(std::int32_t n_cells, const Conversation* except) {
  std::int32_t idle = 0;
  for (const Conversation& c : conversations_.all())
    if (!c.is_busy && &c != except) idle += c.sequence->n_entries();
  const auto n_missing = [&] { return n_cells - (n_free() - n_reserved()); };
  if (n_missing() > idle) return false;
  while (n_missing() > 0) {
    Conversation* const oldest = conversations_.oldest_idle(except);
    if (oldest == nullptr) return false;  // the parked ones shared cells, which are not free yet
    park(*oldest);
  }
  return true;
}

Conversation* Scheduler::free_sequence(const Conversation* except) {
  if (Conversation* c = conversations_.free_one()) return c;
  Conversation* const oldest = conversations_.oldest_idle(except);
  if (oldest != nullptr) park(*oldest);
  return oldest;
}

HostCopy Scheduler::copy_of(const Conversation& c) const {
  return {.snapshot = c.sequence->snapshot(), .key = c.key, .name = c.name, .n_protected = c.n_protected};
}

void Scheduler::park(Conversation& c) {
  const bool is_kept = store_.holds(c.sequence->use().bytes_used) && store_.add(copy_of(c));
  if (!is_kept)
    remember_dropped(c.sequence->tokens(),
                     "it had to leave the cells, and host memory has no room for it (--source-bytes)");
  conversations_.clear(c);
}

void Scheduler::remember_dropped(std::vector<Token> tokens, std::string why) {
  dropped_.push_front({std::move(tokens), std::move(why)});
  std::size_t n = 0;
  for (std::size_t i = 0; i < dropped_.size(); ++i) {
    n += dropped_[i].tokens.size();
    if (n > kMostDroppedTokens) dropped_.resize(std::max<std::size_t>(i, 1));
  }
}

void Scheduler::restore_into(const HostCopy& copy, Conversation& c) {
  c.sequence->restore(copy.snapshot);
  c.key = copy.key;
  c.n_kept = copy.n_kept();
}

Conversation* Scheduler::restore(const HostCopy& copy) {
  if (!make_room(copy.snapshot.n_entries, nullptr)) return nullptr;
  Conversation* const c = free_sequence(nullptr);
  if (c == nullptr) return nullptr;
  restore_into(copy, *c);
  c->name = copy.name;
  c->n_protected = copy.n_protected;
  c->n_prompt = std::int32_t(copy.snapshot.tokens.size());
  c->prompt_end = c->sequence->checkpoint();
  conversations_.touch(*c);
  return c;
}

void Scheduler::publish() {
  const CacheUse use = session_.use();
  std::int64_t live = 0, reading = 0;
  for (const Conversation& c : conversations_.all()) live += !conversations_.is_empty(c);
  for (const Answer& answer : answers_) reading += answer.reading != nullptr;
  metrics_.update([&](auto& v) {
    v.cells_used = use.cells_used;
    v.cells_total = use.cells_allocated;
    v.cache_bytes = use.bytes_used;
    v.source_bytes = store_.bytes();
    v.conversations = live;
    v.queued = std::int64_t(waiting_.size());
    v.reading = reading;
    v.generating = std::int64_t(answers_.size()) - reading;
  });
}

}  // namespace chunkkv::serve
