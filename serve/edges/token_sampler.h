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
  /// `answer`: which one of the prompt; each has a seed of its own. UsageError for a grammar that is none.
  TokenSampler(const Model& model, const RequestRules& rules, std::int32_t answer);
  ~TokenSampler();
  TokenSampler(const TokenSampler&) = delete;
  TokenSampler& operator=(const TokenSampler&) = delete;

  /// The prompt counts for repetition penalties.
  void accept_prompt(std::span<const Token> tokens);
  /// The next token, after the logits of token `index` of the last batch (-1: its last); taken in.
  TokenOutput sample(Session& session, std::int32_t index);
  /// The same after these logits, a copy of earlier ones. Something must have been read since the start.
  TokenOutput sample(Session& session, std::span<const float> logits);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// How likely `token` was by the logits, and the `n` most likely ones.
TokenOutput probabilities(const Model& model, std::span<const float> logits, Token token, std::int32_t n);

}  // namespace chunkkv::serve
