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
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace chunkkv::serve {

struct SchedulerOptions {
  std::int32_t n_parallel = 4;       ///< answers in work together
  std::size_t most_queued = 256;     ///< that wait for their turn
  std::int32_t queue_seconds = 600;  ///< that one waits at most
  std::uint64_t source_bytes = 0;    ///< of host memory for prompts and conversations
};

/// The life of all requests over one session: they are admitted by cells, in order; prompts are read a
/// micro-batch at a time between the other answers' tokens; all that generate take each step together.
///
/// `run` is the one thread that touches the session; everything else may be called by any thread.
class Scheduler {
 public:
  Scheduler(Session& session, PromptFiles& files, Metrics& metrics, const SchedulerOptions& options);
  ~Scheduler();

  /// Takes the answers of one request, or none of them: false when the queue is full.
  bool submit(std::vector<std::shared_ptr<Task>> tasks);
  /// Serves until `stop`.
  void run();
  void stop();

  /// Runs `act` between two steps and waits for it; what it throws is thrown here. Error when the server
  /// stops.
  void between_steps(const std::function<void()>& act);

  /// For `act` of `between_steps` only.
  Conversations& conversations() { return conversations_; }
  HostStore& store() { return store_; }
  HostCopy copy_of(const Conversation& conversation) const;
  /// Puts a copy into a sequence of its own; null when there is no room.
  Conversation* restore(const HostCopy& copy);

 private:
  struct Answer;
  struct Base;
  struct BaseSearch;

  bool turn();  // false: nothing to do
  void take_calls();
  void drop_gone();
  void admit();
  enum class Start : std::uint8_t { done, failed, waits };
  Start start(const std::shared_ptr<Task>& task);
  Base find_base(const Task& task);
  bool is_read_by_another(const Task& task, const Base& base) const;
  bool shares(const Base& base) const;
  std::int32_t cells_needed(const Base& base, const ReadingShape& shape) const;
  Conversation* place(const Base& base);
  void forget_choice(const Task& task);
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
  void finish(Answer& answer, Ending ending, const std::string& stop_text, bool truncated);
  void fail(Answer& answer, Fault fault, const std::string& message);
  void fail_all(Fault fault, const std::string& message);
  void release(Answer& answer);

  std::int32_t n_free() const;
  std::int32_t n_promised() const;  // cells that answers in work may still take
  bool may_compress(const Answer& answer) const;
  bool make_room(std::int32_t n_cells, const Conversation* but);
  Conversation* free_sequence(const Conversation* but);
  void put(const HostCopy& copy, Conversation& conversation);
  void park(Conversation& conversation);
  void save_named(const Conversation& conversation);
  void remember_lost(std::vector<Token> tokens, std::string why);
  void publish();

  Session& session_;
  PromptFiles& files_;
  Metrics& metrics_;
  SchedulerOptions options_;
  Conversations conversations_;
  HostStore store_;
  std::list<Answer> answers_;                  // in work
  std::deque<std::shared_ptr<Task>> waiting_;  // for their turn
  struct Lost {
    std::vector<Token> tokens;
    std::string why;
  };
  std::deque<Lost> lost_;        // what had to go, to say so when it is asked for again
  std::int64_t n_readings_ = 0;  // micro-batches

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Task>> inbox_;
  std::deque<std::function<void()>> calls_;
  std::size_t n_waiting_ = 0;  // as other threads see it
  bool stops_ = false;
};

}  // namespace chunkkv::serve
