#pragma once

#include "serve/edges/dialect.h"

#include <chunkkv/session.h>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::serve {

/// Sampling, stops and everything else that llama.cpp's server knows of a request, for the sampler and the
/// replies of its answers.
struct RequestRules;

/// Values for what a request leaves out.
struct RequestDefaults {
  std::string alias = {};  ///< the model's name in replies
  std::int32_t n_predict = -1;
  std::int32_t most_answers = 1;  ///< most answers to one prompt
  float temperature = 0.8F;       ///< this and what follows are llama.cpp's defaults
  std::int32_t top_k = 40;
  float top_p = 0.95F;
  float min_p = 0.05F;
  std::int64_t seed = -1;
  std::string chat_template = {};  ///< replaces the model's template; empty: the model's
};

/// One prompt of a request, and where its parts are.
struct ParsedPrompt {
  std::vector<Token> tokens;
  std::int32_t n_system = 0;    ///< first tokens: system message and tools, as the template writes them
  std::int32_t n_question = 0;  ///< last tokens: the question about those before; 0: not told apart
};

/// What a request asks of each of its answers.
struct AnswerRules {
  std::int32_t n_predict = -1;  ///< tokens of an answer at most; negative: no limit
  std::int64_t max_ms = -1;     ///< longest time of generating; 0 or negative: no limit
  std::vector<std::string> stops;
  std::int32_t n_probs = 0;   ///< how many of the most likely tokens are found with each token
  bool echo = false;          ///< the prompt is part of the reply
  bool prompt_probs = false;  ///< the reply has the probabilities of the prompt's tokens
};

struct ParsedRequest : AnswerRules {
  Dialect dialect = Dialect::native;
  std::shared_ptr<const RequestRules> rules;
  std::vector<ParsedPrompt> prompts;  ///< each gets answers of its own
  std::int32_t n_answers = 1;         ///< answers to each prompt
  std::int32_t n_listed_probs = 0;    ///< how many of `n_probs` the reply lists, which may be 0
  bool stream = false;
  std::int32_t ping = 30;  ///< seconds of silence after which a stream sends a comment; -1: never
  nlohmann::ordered_json repeated_fields;  ///< fields that a reply of /v1/responses repeats of its request
};

/// Turns requests of all dialects into prompts and rules, by llama.cpp's own parsers and chat templates.
/// Thread-safe.
class RequestParser {
 public:
  RequestParser(std::shared_ptr<Model> model, const RequestDefaults& defaults);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /// Parses a request; UsageError when it is none of this dialect. System message and question are told apart
  /// only with `parts`, since that takes further renderings of the chat template.
  ParsedRequest parse(Dialect dialect, const std::string& body, bool parts) const;
  /// Number of tokens of the prompt of a request.
  std::size_t count(Dialect dialect, const std::string& body) const;
  /// The text of a chat request's prompt.
  std::string render(const std::string& body) const;
  /// Tokens of a text, or of a list of texts and tokens.
  std::vector<Token> tokenize(const nlohmann::ordered_json& content, bool add_special,
                              bool parse_special) const;

  const std::string& chat_template() const;
  /// The texts of the model's tokens for begin and end of a text; empty where it has none.
  std::string bos_text() const;
  std::string eos_text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Parses a JSON object. UsageError for a body that is none, or that nests more deeply than any request does.
nlohmann::ordered_json parse_object(std::string_view body);

}  // namespace chunkkv::serve
