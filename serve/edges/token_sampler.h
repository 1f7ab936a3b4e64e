#pragma once

#include "serve/edges/request_parser.h"

#include <chunkkv/session.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::serve {

/// A token that was chosen or read, and how likely it and the others were.
struct TokenOutput {
  Token token = -1;
  std::string text = {};  ///< its bytes
  float probability = 0;
  struct Candidate {
    Token token = -1;
    std::string text;
    float probability = 0;
  };
  std::vector<Candidate> most_likely = {};
};

/// Chooses the tokens of one answer by the request's rules: llama.cpp's samplers, grammar and reasoning
/// budget.
class TokenSampler {
 public:
  /// `answer` is the index among a prompt's; each has a seed of its own. UsageError for an invalid grammar.
  TokenSampler(const Model& model, const RequestRules& rules, std::int32_t answer);
  ~TokenSampler();
  TokenSampler(const TokenSampler&) = delete;
  TokenSampler& operator=(const TokenSampler&) = delete;

  /// Lets the tokens of the prompt count for repetition penalties.
  void accept_prompt(std::span<const Token> tokens);
  /// Chooses and accepts the next token, by the logits of token `index` of the last batch (-1: its last one).
  /// UsageError when a grammar makes that too slow.
  TokenOutput sample(Session& session, std::int32_t index);
  /// Chooses and accepts the next token by these logits, a copy of earlier ones. Error when the session has
  /// read nothing yet.
  TokenOutput sample(Session& session, std::span<const float> logits);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The probability of `token` by these logits, and the `n` most likely tokens.
TokenOutput probabilities(const Model& model, std::span<const float> logits, Token token, std::int32_t n);

}  // namespace chunkkv::serve
