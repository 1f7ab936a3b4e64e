#include "runner/prompt_tokens.h"

#include "text/plain_text.h"

namespace chunkkv::eval {

std::vector<Token> ModelTokenizer::encode(std::string_view text) const {
  return model_.tokenize(text, /*add_special=*/true, /*parse_special=*/false);
}

std::string ModelTokenizer::decode(std::span<const Token> tokens) const {
  return text::plain_text(model_, tokens);
}

PromptTokens::PromptTokens(const Model& model, const Sample& sample, bool use_template)
    : model_(model),
      sample_(sample),
      layout_(model, {.no_chat_template = !use_template || !sample.chat_template}) {}

text::PromptHalves PromptTokens::halves(std::size_t question) const {
  return layout_.halves(sample_.document, sample_.questions[question].text);
}

std::vector<Token> PromptTokens::whole() const {
  text::PromptHalves prompt = halves(0);
  prompt.before.insert(prompt.before.end(), prompt.after.begin(), prompt.after.end());
  return text::tokenize_untrusted(model_, prompt.before, /*add_special=*/true);
}

std::vector<Token> PromptTokens::document() const {
  return text::tokenize_untrusted(model_, halves(0).before, /*add_special=*/true);
}

std::vector<Token> PromptTokens::question(std::size_t question) const {
  return text::tokenize_untrusted(model_, halves(question).after, /*add_special=*/false);
}

std::vector<Token> PromptTokens::turn(std::string_view answer, std::size_t question) const {
  const auto parts = layout_.turn(sample_.prompt(), answer, sample_.questions[question].text);
  return text::tokenize_untrusted(model_, parts, /*add_special=*/false);
}

}  // namespace chunkkv::eval
