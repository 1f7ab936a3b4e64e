#pragma once

#include "serve/edges/request_parser.h"
#include "serve/edges/token_sampler.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace chunkkv::serve {

enum class Ending : std::uint8_t { model, stop_text, limit };

/// How an answer ended, and its figures for the reply.
struct AnswerEnd {
  Ending ending = Ending::limit;
  std::string stop_text;   ///< the stop text that ended it
  bool truncated = false;  ///< for want of cells or positions
  std::int32_t n_prompt = 0, n_reused = 0, n_generated = 0;
  std::int32_t slot = -1;
  std::int64_t started_us = 0, read_us = 0, ended_us = 0;  ///< by the engine's clock
  nlohmann::ordered_json kv;
};

/// Tokens of all answers to a request. A prompt counts once, however many answers it has.
struct RequestUsage {
  std::int64_t n_prompt = 0, n_reused = 0, n_generated = 0;

  void add(const AnswerEnd& end, bool is_first_of_prompt);
};

/// Writes the replies of one answer in its request's dialect: whole, or as the events of a stream.
class ReplyWriter {
 public:
  /// `index` is that of the answer among the answers of the request.
  ReplyWriter(const Model& model, const ParsedRequest& request, const std::string& id, std::int32_t index,
              const std::vector<Token>& prompt);
  ~ReplyWriter();
  ReplyWriter(ReplyWriter&&) noexcept;
  ReplyWriter& operator=(ReplyWriter&&) = delete;

  /// Takes the tokens of the prompt, which `echo` puts before the answer; to be called before all else.
  void add_prompt(std::vector<TokenOutput> tokens);
  /// Adds text that is certain to be part of the answer, with the token that completed it; `n_reused` tokens
  /// of the prompt were reused. Returns events of the stream; empty for a reply that is sent whole.
  std::string add(const std::string& text, const TokenOutput& token, std::int32_t n_reused);
  /// Returns the last events of this answer, then the usage `all`, unless it is null or was not asked for.
  std::string finish(const AnswerEnd& end, const RequestUsage* all);
  /// Returns the reply of this answer, to be sent whole.
  nlohmann::ordered_json reply(const AnswerEnd& end);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Joins the replies of several answers to one request into one.
nlohmann::ordered_json joined(Dialect dialect, std::vector<nlohmann::ordered_json> replies,
                              const RequestUsage& all);
/// Text that ends a stream after its last answer.
std::string stream_end(Dialect dialect);
std::string new_reply_id(Dialect dialect);

/// An error in the dialect's shape, as the body of a reply and as an event in a stream.
nlohmann::ordered_json error_body(Dialect dialect, Fault fault, const std::string& message);
std::string error_event(Dialect dialect, Fault fault, const std::string& message);

}  // namespace chunkkv::serve
