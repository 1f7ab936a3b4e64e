#include "serve/http/completions.h"

#include "serve/edges/reply_writer.h"
#include "serve/engine/task.h"

#include <cpp-httplib/httplib.h>
#include <fmt/format.h>

#include <exception>
#include <map>
#include <optional>
#include <utility>

namespace chunkkv::serve {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

/// How often a waiting connection checks whether its client is still there.
constexpr auto kClientCheckInterval = 200ms;
/// Most answers of one request, over all its prompts.
constexpr std::size_t kMostAnswers = 1024;

/// The answers of one request, from submission to reply. Its end cancels those that are still in work.
class PendingReply {
 public:
  PendingReply(const Service& service, ParsedRequest request, const KvSettings& kv)
      : service_(service), request_(std::move(request)), channel_(std::make_shared<Channel>()) {
    const std::size_t n = request_.prompts.size() * std::size_t(request_.n_answers);
    if (n > kMostAnswers) throw UsageError(fmt::format("a request has {} answers at most", kMostAnswers));
    const std::string id = new_reply_id(request_.dialect);
    for (const ParsedPrompt& prompt : request_.prompts) {
      if (prompt.tokens.empty()) throw UsageError("the prompt is empty");
      for (std::int32_t a = 0; a < request_.n_answers; ++a) {
        auto task = new_task(prompt, kv, a);
        task->answer = writers_.size();
        writers_.emplace_back(*service.model, request_, id, std::int32_t(writers_.size()), prompt.tokens);
        (a == 0 ? tasks_ : tasks_.back()->siblings).push_back(std::move(task));
      }
    }
    n_open_ = writers_.size();
  }
  ~PendingReply() { channel_->cancel(); }
  PendingReply(const PendingReply&) = delete;
  PendingReply& operator=(const PendingReply&) = delete;

  bool submit() { return service_.scheduler.submit(std::move(tasks_)); }
  const ParsedRequest& request() const { return request_; }
  std::optional<Event> next() { return channel_->pop(kClientCheckInterval); }
  bool is_done() const { return n_open_ == 0; }

  /// Takes an event. Returns the reply, of a stream the text that the event adds to it; the body is empty
  /// while there is nothing to send. A stream's error is a reply of its own.
  Reply take(Event event) {
    ReplyWriter& writer = writers_[event.answer];
    switch (event.kind) {
      case Event::Kind::prompt:
        writer.add_prompt(std::move(event.prompt));
        return {};
      case Event::Kind::text:
        return {.body = writer.add(event.text, event.token, event.n_reused)};
      case Event::Kind::end:
        return end(writer, std::move(event));
      case Event::Kind::error:
        break;
    }
    return error_reply(request_.dialect, event.fault, event.message);
  }

  /// Returns the text that an event adds to a stream that has begun.
  std::string stream_text(Event event) {
    if (event.kind != Event::Kind::error) return take(std::move(event)).body;
    n_open_ = 0;  // one answer that fails ends the stream
    return error_event(request_.dialect, event.fault, event.message);
  }

 private:
  std::shared_ptr<Task> new_task(const ParsedPrompt& prompt, const KvSettings& kv,
                                 std::int32_t answer) const {
    auto task = std::make_shared<Task>();
    static_cast<AnswerRules&>(*task) = request_;
    task->prompt = prompt;
    task->kv = kv;
    task->sampler = std::make_unique<TokenSampler>(*service_.model, *request_.rules, answer);
    task->channel = channel_;
    return task;
  }

  Reply end(ReplyWriter& writer, Event event) {
    usage_.add(event.end, event.answer % std::size_t(request_.n_answers) == 0);
    --n_open_;
    if (request_.stream)
      return {.body = is_done() ? writer.finish(event.end, &usage_) + stream_end(request_.dialect)
                                : writer.finish(event.end, nullptr)};
    ends_.emplace(event.answer, std::move(event.end));
    return is_done() ? ok(whole()) : Reply{};
  }

  Json whole() {
    std::vector<Json> replies;
    for (auto& [index, end] : ends_) replies.push_back(writers_[index].reply(end));
    return joined(request_.dialect, std::move(replies), usage_);
  }

  const Service& service_;
  ParsedRequest request_;
  std::shared_ptr<Channel> channel_;
  std::vector<std::shared_ptr<Task>> tasks_;
  std::vector<ReplyWriter> writers_;
  std::map<std::size_t, AnswerEnd> ends_;  // by answer
  RequestUsage usage_;
  std::size_t n_open_ = 0;
};

void send_whole(PendingReply& pending, const httplib::Request& request, httplib::Response& response) {
  auto looked = std::chrono::steady_clock::now();
  while (true) {
    if (std::optional<Event> event = pending.next())
      if (const Reply reply = pending.take(std::move(*event)); !reply.body.empty())
        return send(reply, response);
    const auto now = std::chrono::steady_clock::now();
    if (now - looked < kClientCheckInterval) continue;  // events may come more often than a check is due
    looked = now;
    if (request.is_connection_closed()) return;  // the end of `pending` cancels the answers
  }
}

void send_stream(const std::shared_ptr<PendingReply>& pending, const httplib::Request& request,
                 httplib::Response& response) {
  // An error that comes before any other event is sent with a status of its own.
  std::optional<Event> first;
  auto quiet_since = std::chrono::steady_clock::now();
  const auto ping = std::chrono::seconds(pending->request().ping);
  while (!first) {
    first = pending->next();
    if (!first && request.is_connection_closed()) return;
    if (!first && ping.count() > 0 && std::chrono::steady_clock::now() - quiet_since > ping) break;
  }
  if (first && first->kind == Event::Kind::error) return send(pending->take(std::move(*first)), response);
  std::string unsent = first ? pending->stream_text(std::move(*first)) : ":\n\n";
  quiet_since = std::chrono::steady_clock::now();
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no");
  response.set_chunked_content_provider(
      "text/event-stream",
      [pending, unsent, quiet_since, ping](std::size_t, httplib::DataSink& sink) mutable {
        try {
          std::string text = std::exchange(unsent, {});
          if (text.empty() && !pending->is_done()) {
            if (std::optional<Event> event = pending->next()) text = pending->stream_text(std::move(*event));
          }
          if (text.empty() && ping.count() > 0 && std::chrono::steady_clock::now() - quiet_since > ping)
            text = ":\n\n";
          if (!text.empty()) {
            quiet_since = std::chrono::steady_clock::now();
            if (!sink.write(text.data(), text.size())) return false;
          } else if (!sink.is_writable()) {
            return false;
          }
          if (pending->is_done()) sink.done();
          return true;
        } catch (const std::exception& error) {
          const std::string text = error_event(pending->request().dialect, Fault::internal, error.what());
          sink.write(text.data(), text.size());
          sink.done();
          return true;
        }
      });
}

}  // namespace

void send(const Reply& reply, httplib::Response& response) {
  response.status = reply.status;
  if (reply.retry_later) response.set_header("Retry-After", "5");
  response.set_content(reply.body, reply.type);
}

void answer_error(Dialect dialect, Fault fault, const std::string& message, httplib::Response& response) {
  send(error_reply(dialect, fault, message), response);
}

void answer_completions(const Service& service, Dialect dialect, const httplib::Request& request,
                        httplib::Response& response) {
  std::shared_ptr<PendingReply> pending;
  try {
    const Json body = parse_object(request.body);
    const KvSettings kv = with_field(service.kv, body.contains("kv") ? body["kv"] : Json());
    pending = std::make_shared<PendingReply>(
        service, service.parser.parse(dialect, request.body, kv.compresses()), kv);
  } catch (const UsageError& error) {
    return answer_error(dialect, Fault::invalid, error.what(), response);
  }
  if (!pending->submit())
    return answer_error(dialect, Fault::busy, "too many requests are waiting; try again later", response);
  if (pending->request().stream)
    send_stream(pending, request, response);
  else
    send_whole(*pending, request, response);
}

}  // namespace chunkkv::serve
