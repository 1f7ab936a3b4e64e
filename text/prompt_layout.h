#pragma once

#include "text/untrusted.h"

#include <chunkkv/cache_file.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::text {

/// Between document and question.
inline constexpr std::string_view kQuestionGap = "\n\n";

/// How a user's texts become a prompt.
struct PromptRules {
  std::string system = {};        ///< message; empty: none
  bool no_chat_template = false;  ///< texts are read as they are
  bool no_special = false;        ///< control tokens written out in text and question are text
};

/// A prompt's tokens, and how many at its end ask: the question and what the template puts after it.
struct SplitPrompt {
  std::vector<Token> tokens;
  std::int32_t n_question = 0;  ///< 0 without a question, or where there is nothing but a question
};

/// A prompt that goes on: a document whose question is not known yet, or a conversation after an answer.
struct OpenPrompt {
  std::vector<Token> tokens;      ///< certain, whatever follows
  std::string tail;               ///< text behind them that makes tokens together with what follows
  CacheEnd end = CacheEnd::text;  ///< where tokens and tail end
};

/// The prompt in a file, as far as it goes.
OpenPrompt prompt_of(const CacheFile& file);

/// A prompt's parts around the end of the document.
struct PromptHalves {
  std::vector<Part> before, after;
};

/// Tells system prompt, document, question and turns apart in what the model's chat template makes of them.
class PromptLayout {
 public:
  /// Keeps a reference to the model. Where it has no template, texts are read as they are.
  PromptLayout(const Model& model, PromptRules rules);

  /// Whether the template is used.
  bool is_chat() const { return is_chat_; }

  /// Tokens of `prompt` as one message of the user. UsageError for a system message without a template.
  std::vector<Token> tokens(const std::string& prompt) const;
  /// First tokens that are the system prompt and what the template puts around it; 0 without one.
  std::int32_t n_system() const;
  /// The tokens of `prompt`, which ends in the gap and `question`. A token that holds both the end of the
  /// document and the question's beginning counts as the question's.
  SplitPrompt split(const std::string& prompt, std::string_view question) const;

  /// The document in a message of the user that stays open. With a question after it, these are the `tokens`
  /// of document, gap and question. Error where the template does not show the text as it is.
  OpenPrompt open(const std::string& document) const;
  /// The tokens that follow `prompt.tokens`: the tail, the user's text, and what makes the model answer it.
  std::vector<Token> following(const OpenPrompt& prompt, const std::string& user) const;

  /// The parts of a prompt, cut where the document ends and `question` begins; nothing is put between them.
  PromptHalves halves(const std::string& document, const std::string& question) const;
  /// The answer to `prompt`, then `question` as a message of its own.
  std::vector<Part> turn(const std::string& prompt, std::string_view answer,
                         const std::string& question) const;

 private:
  const Model& model_;
  PromptRules rules_;
  bool is_chat_;
};

}  // namespace chunkkv::text
