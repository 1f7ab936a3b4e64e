#pragma once

#include "benchmark.h"
#include "text/prompt_layout.h"

#include <chunkkv/session.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::eval {

/// The tokenizer of a loaded model, to which it keeps a reference.
class ModelTokenizer : public Tokenizer {
 public:
  explicit ModelTokenizer(const Model& model) : model_(model) {}
  std::vector<Token> encode(std::string_view text) const override;
  std::string decode(std::span<const Token> tokens) const override;

 private:
  const Model& model_;
};

/// The tokens that a model reads of a sample: its messages in the chat template, or as plain text. Control
/// tokens written out in a sample are read as text, so that no document can end its own turn.
class PromptTokens {
 public:
  /// Without `use_template` no sample gets a chat template. Keeps references to model and sample.
  PromptTokens(const Model& model, const Sample& sample, bool use_template);

  /// Tokens of document and first question, after which the answer begins.
  std::vector<Token> whole() const;
  /// Tokens of the document, and all others before the question.
  std::vector<Token> document() const;
  /// Tokens that follow `document` when `question` is the first one asked.
  std::vector<Token> question(std::size_t question) const;
  /// Tokens of `answer`, given to the previous question, and of `question` as a message of its own.
  std::vector<Token> turn(std::string_view answer, std::size_t question) const;

 private:
  text::PromptHalves halves(std::size_t question) const;

  const Model& model_;
  const Sample& sample_;
  text::PromptLayout layout_;
};

}  // namespace chunkkv::eval
