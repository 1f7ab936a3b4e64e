#pragma once

#include "serve/engine/scheduler.h"

#include "support/exact_attention.h"
#include "support/random_input.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <chunkkv/registry.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// A scheduler in a thread of its own, and the answers that the library gives without one.
namespace chunkkv::test {

using namespace std::chrono_literals;
using namespace serve;
using Json = nlohmann::ordered_json;
using Tokens = std::vector<Token>;

inline constexpr auto kTimeout = 120s;
/// Batches of several sequences add up in another order; near ties may be decided differently.
inline constexpr float kTieTolerance = 0.05F;

inline std::shared_ptr<Model> model() {
  static const auto model = Model::load(write_tiny_model({}, tiny_folder()), exact_attention());
  return model;
}

inline SessionOptions options(std::int32_t n_cells, std::int32_t n_sequences = 8) {
  SessionOptions options;
  options.n_cells = n_cells;
  options.n_sequences = n_sequences;
  options.n_ubatch = 64;
  options.n_threads = 1;
  return options;
}

inline Tokens prompt_of(std::uint32_t seed, std::int32_t n) {
  std::mt19937 random(seed);
  return random_tokens(random, n);
}

inline Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline KvSettings settings(const char* field = "null") {
  KvSettings kv;
  kv.method = make_method("full");
  kv.keep_at_least = 0;
  return with_field(kv, Json::parse(field));
}

/// What has arrived of one answer.
struct Reply {
  Tokens tokens;
  std::optional<AnswerEnd> end;
  std::optional<Fault> fault;
  std::string message;

  bool is_open() const { return !end && !fault; }
  std::int32_t reused() const { return end->kv["reused"].get<std::int32_t>(); }
  std::int32_t read() const { return end->kv["read"].get<std::int32_t>(); }
};

struct Request {
  Tokens prompt = {};
  std::int32_t n_predict = 8;
  KvSettings kv = settings();
  std::int32_t n_answers = 1;
  std::string extra = "{}";  ///< further fields of the body, JSON
};

/// A request that was handed to the scheduler, and what has arrived of its answers.
struct PendingRequest {
  std::shared_ptr<Channel> channel = std::make_shared<Channel>();
  std::vector<Reply> replies;
  bool is_taken = false;

  bool is_open() const {
    return is_taken &&
           std::any_of(replies.begin(), replies.end(), [](const Reply& r) { return r.is_open(); });
  }
  /// Takes one event, for which it waits at most `wait`. False when none came.
  bool take(std::chrono::milliseconds wait) {
    std::optional<Event> event = channel->pop(wait);
    if (!event) return false;
    Reply& reply = replies[event->answer];
    switch (event->kind) {
      case Event::Kind::prompt:
        break;
      case Event::Kind::text:
        // The rest of a character comes without a token.
        if (event->token.token >= 0) reply.tokens.push_back(event->token.token);
        break;
      case Event::Kind::end:
        reply.end = std::move(event->end);
        break;
      case Event::Kind::error:
        reply.fault = event->fault;
        reply.message = event->message;
        break;
    }
    return true;
  }
  const std::vector<Reply>& wait() {
    const auto end = std::chrono::steady_clock::now() + kTimeout;
    while (is_open() && std::chrono::steady_clock::now() < end) take(100ms);
    EXPECT_FALSE(is_open()) << "no end came";
    return replies;
  }
};

/// A session with its scheduler; `start` gives it a thread.
class SchedulerFixture {
 public:
  explicit SchedulerFixture(const SessionOptions& session_options, SchedulerOptions scheduler_options = {},
                            const std::shared_ptr<Model>& served = model())
      : session(served, session_options),
        parser(served, RequestDefaults{.most_answers = session_options.n_sequences}),
        scheduler(session, files, metrics, scheduler_options) {}
  ~SchedulerFixture() { stop(); }

  SchedulerFixture& start() {
    thread_ = std::thread([this] { scheduler.run(); });
    return *this;
  }
  void stop() {
    scheduler.stop();
    if (thread_.joinable()) thread_.join();
  }

  PendingRequest hand_in(const Request& request) {
    Json body = Json::parse(request.extra);
    body["prompt"] = request.prompt;
    body["n_predict"] = request.n_predict;
    if (!body.contains("temperature")) body["temperature"] = 0;
    const ParsedRequest parsed = parser.parse(Dialect::native, body.dump(), false);
    PendingRequest asked;
    asked.replies.resize(std::size_t(request.n_answers));
    std::shared_ptr<Task> first;
    for (std::int32_t i = 0; i < request.n_answers; ++i) {
      auto task = std::make_shared<Task>();
      task->answer = std::size_t(i);
      task->prompt = parsed.prompts.front();
      task->kv = request.kv;
      task->n_predict = parsed.n_predict;
      task->stops = parsed.stops;
      task->sampler = std::make_unique<TokenSampler>(session.model(), *parsed.rules, i);
      task->channel = asked.channel;
      if (first == nullptr)
        first = std::move(task);
      else
        first->siblings.push_back(std::move(task));
    }
    asked.is_taken = scheduler.submit({first});
    return asked;
  }
  Reply ask(const Request& request) { return hand_in(request).wait().front(); }

  Metrics::Values values() {
    Metrics::Values values;
    metrics.update([&](const auto& v) { values = v; });
    return values;
  }
  /// Waits until no conversation is busy.
  void wait_until_idle() {
    const auto end = std::chrono::steady_clock::now() + kTimeout;
    bool is_busy = true;
    while (is_busy && std::chrono::steady_clock::now() < end)
      scheduler.between_steps([&] {
        const auto& all = scheduler.conversations().all();
        is_busy = std::any_of(all.begin(), all.end(), [](const Conversation& c) { return c.is_busy; });
      });
    EXPECT_FALSE(is_busy);
  }
  std::int32_t cells_used() {
    std::int32_t used = -1;
    scheduler.between_steps([&] { used = session.use().cells_used; });
    return used;
  }
  void clear_all() {
    scheduler.between_steps([&] {
      for (Conversation& c : scheduler.conversations().all()) {
        EXPECT_FALSE(c.is_busy);
        scheduler.conversations().clear(c);
      }
    });
  }

  Session session;
  PromptFiles files{"", {}, {}};
  Metrics metrics;
  RequestParser parser;
  Scheduler scheduler;

 private:
  std::thread thread_;
};

/// Expects that each token of `answer` is the full cache's most likely one, near ties apart. With
/// `ignores_end` tokens that end an answer are not counted.
inline void expect_greedy(const Tokens& prompt, const Tokens& answer, bool ignores_end = false) {
  Session session(model(), options(2048, 1));
  session.sequence().prefill(prompt);
  for (const Token token : answer) {
    std::vector<float> logits(session.logits().begin(), session.logits().end());
    for (std::size_t i = 0; ignores_end && i < logits.size(); ++i)
      if (model()->is_end(Token(i))) logits[i] = -1e9F;
    EXPECT_GE(logits[std::size_t(token)], *std::max_element(logits.begin(), logits.end()) - kTieTolerance);
    session.sequence().decode(token);
  }
}

/// The greedy answer of at most `n` tokens that the library gives without the server, with `plan` if any.
inline Tokens by_the_library(const Tokens& prompt, std::int32_t n, const Plan* plan = nullptr) {
  Session session(model(), options(2048, 1));
  if (plan == nullptr) {
    session.sequence().prefill(prompt);
  } else {
    session.sequence().prefill(prompt, {plan, 1});
    session.sequence().compress(session.sequence().selection());
  }
  Tokens answer;
  while (std::int32_t(answer.size()) < n) {
    const auto logits = session.logits();
    const auto token = Token(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (model()->is_end(token)) break;
    answer.push_back(token);
    session.sequence().decode(token);
  }
  return answer;
}

}  // namespace chunkkv::test
