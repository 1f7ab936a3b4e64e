#pragma once

#include "cli/options/prompt.h"

#include <chunkkv/cache_file.h>

#include <string>
#include <vector>

namespace chunkkv::cli {

/// A prompt that goes on: a document whose question is not known yet, or a conversation after an answer.
struct OpenPrompt {
  std::vector<Token> tokens;      ///< certain, whatever follows
  std::string tail;               ///< text behind them that makes tokens together with what follows
  CacheEnd end = CacheEnd::text;  ///< where tokens and tail end
};

/// The document as `read_prompt` gives it, in a message of the user that stays open. With a question after
/// it, these are the tokens of `tokenize_prompt` for document and question.
OpenPrompt open_prompt(const Model& model, const PromptArguments& arguments, const std::string& document);

/// The tokens that follow `prompt.tokens`: the tail, the user's text, and what makes the model answer it.
/// `no_special`: control tokens written out in the user's text are text.
std::vector<Token> following_tokens(const Model& model, const OpenPrompt& prompt, const std::string& user,
                                    bool no_special = false);

}  // namespace chunkkv::cli
