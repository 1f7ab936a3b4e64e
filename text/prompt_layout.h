#pragma once

#include "text/untrusted.h"

#include <chunkkv/cache_file.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::text {

/// Stands between document and question.
inline constexpr std::string_view kQuestionGap = "\n\n";

/// How a user's texts become a prompt.
struct PromptRules {
  std::string system = {};        ///< system message; empty: none
  bool no_chat_template = false;  ///< read texts as they are, without the model's template
  bool no_special = false;        ///< read control tokens that are written out in a text as plain text
};

/// A prompt's tokens, and how many of the last ones are the question and what the template puts after it.
struct SplitPrompt {
  std::vector<Token> tokens;
  std::int32_t n_question = 0;  ///< 0 without a question, or without a document before it
};

/// A prompt to be continued: a document whose question is not known yet, or a conversation after an answer.
struct OpenPrompt {
  std::vector<Token> tokens;      ///< the same whatever follows
  std::string tail;               ///< text after the tokens, to be tokenized together with what follows
  CacheEnd end = CacheEnd::text;  ///< where tokens and tail end
};

/// The prompt that a cache file holds, to be continued.
OpenPrompt prompt_of(const CacheFile& file);

/// A prompt's parts before and after the end of the document.
struct PromptHalves {
  std::vector<Part> before, after;
};

/// Makes prompts with the model's chat template; tells system prompt, document, question and turns apart.
class PromptLayout {
 public:
  /// Keeps a reference to the model. Without a template, texts are read as they are.
  PromptLayout(const Model& model, PromptRules rules);

  /// True when the model's chat template is used.
  bool is_chat() const { return is_chat_; }

  /// Tokens of `prompt` as one message of the user. UsageError for a system message without a template.
  std::vector<Token> tokens(const std::string& prompt) const;
  /// How many of the first tokens are the system prompt and the template around it; 0 without one.
  std::int32_t n_system() const;
  /// The tokens of `prompt`, which ends in the gap and `question`. A token that holds both the end of the
  /// document and the question's beginning counts as the question's.
  SplitPrompt split(const std::string& prompt, std::string_view question) const;

  /// The document in a message of the user that stays open. Continued with a question (`following`), it gives
  /// the `tokens` of document, gap and question. Error where the template does not show the text as it is.
  OpenPrompt open(const std::string& document) const;
  /// The tokens that follow `prompt.tokens`: the tail, the user's text, and what the template puts after it,
  /// up to where the model's answer begins.
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
