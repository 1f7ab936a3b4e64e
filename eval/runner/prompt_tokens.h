#pragma once

#include "benchmark.h"
#include "text/prompt_layout.h"

#include <chunkkv/session.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::eval {

/// Tokenizer of a loaded model.
class ModelTokenizer : public Tokenizer {
 public:
  explicit ModelTokenizer(const Model& model) : model_(model) {}
  std::vector<Token> encode(std::string_view text) const override;
  std::string decode(std::span<const Token> tokens) const override;

 private:
  const Model& model_;
};

/// What a model reads of a sample: its messages in the chat template, or as plain text. Control tokens that
/// are written out in a sample are text, so that no document can end its own turn.
class PromptTokens {
 public:
  /// Without `use_template` no sample gets a chat template. Keeps references.
  PromptTokens(const Model& model, const Sample& sample, bool use_template);

  /// Document and first question, ready for the answer.
  std::vector<Token> whole() const;
  /// What comes before the question.
  std::vector<Token> document() const;
  /// What comes after `document` where `question` is asked first.
  std::vector<Token> question(std::size_t question) const;
  /// The answer to the question before, then `question` as a message of its own.
  std::vector<Token> turn(std::string_view answer, std::size_t question) const;

 private:
  text::PromptHalves halves(std::size_t question) const;

  const Model& model_;
  const Sample& sample_;
  text::PromptLayout layout_;
};

}  // namespace chunkkv::eval
