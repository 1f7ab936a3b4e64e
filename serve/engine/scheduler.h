#pragma once

#include "serve/engine/answer_text.h"
#include "serve/engine/conversations.h"
#include "serve/engine/host_store.h"
#include "serve/engine/metrics.h"
#include "serve/engine/prompt_files.h"
#include "serve/engine/prompt_reading.h"
#include "serve/engine/task.h"

#include <chunkkv/session.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace chunkkv::serve {

struct SchedulerOptions {
  std::int32_t n_parallel = 4;       ///< answers in work at once
  std::size_t most_queued = 256;     ///< most tasks that wait to be admitted
  std::int32_t queue_seconds = 600;  ///< longest wait of a task
  std::uint64_t source_bytes = 0;    ///< most host memory for sources and conversations
};

/// Serves all requests over one session: admits them in order, when there are cells; reads prompts a
/// micro-batch at a time, between the tokens of other answers; lets all that generate step together.
///
/// Only the thread of `run` touches the session; any thread may call `submit`, `stop` and `between_steps`.
class Scheduler {
 public:
  Scheduler(Session& session, PromptFiles& files, Metrics& metrics, const SchedulerOptions& options);
  ~Scheduler();

  /// Queues the tasks of one request, all or none. Returns false when the queue is full or the server stops.
  bool submit(std::vector<std::shared_ptr<Task>> tasks);
  /// Serves until `stop`, then fails what is left.
  void run();
  void stop();

  /// Runs `act` on the thread of `run` between two steps, waits for it and rethrows what it throws. Error
  /// when the server stops.
  void between_steps(const std::function<void()>& act);

  /// The next four functions are for `act` of `between_steps` only.
  Conversations& conversations() { return conversations_; }
  HostStore& store() { return store_; }
  HostCopy copy_of(const Conversation& conversation) const;
  /// Restores a copy in a conversation of its own; null when there is no room.
  Conversation* restore(const HostCopy& copy);

 private:
  struct Answer;
  struct Base;
  struct BaseSearch;

  bool turn();  // returns whether any answer is in work
  void take_calls();
  void drop_cancelled_and_overdue();
  void admit();
  enum class Start : std::uint8_t { done, failed, waits };
  Start start(const std::shared_ptr<Task>& task);
  Base find_base(const Task& task);
  bool is_read_by_another(const Task& task, const Base& base) const;
  bool shares(const Base& base) const;
  std::int32_t cells_needed(const Base& base, const ReadingShape& shape) const;
  Conversation* take_sequence(const Base& base);
  void clear_earlier_choices(const Task& task);
  std::string reread_reason(const Task& task, const Base& base) const;
  Answer* next_to_read();
  void read_one();
  void begin_answer(Answer& answer);
  void begin_siblings(Answer& answer);
  void take_first(Answer& answer);
  void generate();
  void take_token(Answer& answer, TokenOutput token);
  void after_step(Answer& answer);
  void limit_answer(Answer& answer, std::int32_t cells);
  void finish(Answer& answer, Ending ending, bool truncated = false);
  void fail(Answer& answer, Fault fault, const std::string& message);
  void fail_all(Fault fault, const std::string& message);
  void release(Answer& answer);

  std::int32_t n_free() const;
  std::int32_t n_reserved() const;  // cells that answers in work may still take
  bool may_compress(const Answer& answer) const;
  bool make_room(std::int32_t n_cells, const Conversation* except);
  Conversation* free_sequence(const Conversation* except);
  void restore_into(const HostCopy& copy, Conversation& conversation);
  void park(Conversation& conversation);
  void save_named(const Conversation& conversation);
  void remember_dropped(std::vector<Token> tokens, std::string why);
  void publish();

  Session& session_;
  PromptFiles& files_;
  Metrics& metrics_;
  SchedulerOptions options_;
  Conversations conversations_;
  HostStore store_;
  std::list<Answer> answers_;                  // in work
  std::deque<std::shared_ptr<Task>> waiting_;  // not admitted yet
  struct DroppedPrompt {
    std::vector<Token> tokens;
    std::string why;
  };
  std::deque<DroppedPrompt> dropped_;  // prompts that were dropped, newest first, for `reread_reason`
  std::int64_t n_readings_ = 0;        // micro-batches read so far

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Task>> inbox_;
  std::deque<std::packaged_task<void()>> calls_;
  std::size_t n_waiting_ = 0;  // tasks in `waiting_` and `inbox_`; guarded by `mutex_`
  bool stops_ = false;
};

}  // namespace chunkkv::serve
