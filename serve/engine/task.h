#pragma once

#include "serve/edges/reply_writer.h"
#include "serve/edges/token_sampler.h"
#include "serve/engine/kv_settings.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace chunkkv::serve {

/// What the inference thread reports of an answer.
struct Event {
  enum class Kind : std::uint8_t { prompt, text, end, error };
  Kind kind = Kind::text;
  std::size_t answer = 0;  ///< index among the answers of the request
  /// With Kind::prompt: each token, with its probability where asked for.
  std::vector<TokenOutput> prompt = {};
  std::string text = {};  ///< text that is certain to be part of the answer
  TokenOutput token = {};
  std::int32_t n_reused = 0;  ///< tokens of the prompt that were reused
  AnswerEnd end = {};
  Fault fault = Fault::internal;
  std::string message = {};  ///< with Kind::error
};

/// Queue of events from the inference thread to the thread that writes a request's reply. The inference
/// thread never waits; the length of the answers bounds what a slow reader leaves in it. Thread-safe.
class Channel {
 public:
  void push(Event event) {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
    }
    filled_.notify_one();
  }
  /// Returns the next event, or nothing when none comes in time.
  std::optional<Event> pop(std::chrono::milliseconds wait) {
    std::unique_lock lock(mutex_);
    if (!filled_.wait_for(lock, wait, [&] { return !events_.empty(); })) return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  /// Tells the inference thread that the reader has gone, so that it ends the answers.
  void cancel() { is_cancelled_ = true; }
  bool is_cancelled() const { return is_cancelled_; }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Event> events_;
  std::atomic<bool> is_cancelled_ = false;
};

/// One answer that a request asks for.
struct Task : AnswerRules {
  std::size_t answer = 0;  ///< index among the answers of the request
  ParsedPrompt prompt;
  KvSettings kv;
  std::unique_ptr<TokenSampler> sampler;
  std::shared_ptr<Channel> channel;
  /// More answers to the same prompt, which is read once for all of them.
  std::vector<std::shared_ptr<Task>> siblings;
  std::chrono::steady_clock::time_point submitted = {};
  std::int64_t started_us = 0;  ///< time of submission by the engine's clock

  void fail(Fault fault, const std::string& message) const {
    channel->push({.kind = Event::Kind::error, .answer = answer, .fault = fault, .message = message});
    for (const auto& sibling : siblings) sibling->fail(fault, message);
  }
};

}  // namespace chunkkv::serve
