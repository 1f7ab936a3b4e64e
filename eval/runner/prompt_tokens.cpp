#include "runner/prompt_tokens.h"

#include "text/chat_template.h"
#include "text/plain_text.h"

#include <chunkkv/error.h>

#include <array>

namespace chunkkv::eval {
namespace {

/// Marks a place in a text that goes through a chat template. Of Unicode's private use area.
constexpr std::string_view kMark = "\uE000\uE0C0\uE000";

}  // namespace

std::vector<Token> ModelTokenizer::encode(std::string_view text) const {
  return model_.tokenize(text, /*add_special=*/true, /*parse_special=*/false);
}

std::string ModelTokenizer::decode(std::span<const Token> tokens) const {
  return text::plain_text(model_, tokens);
}

PromptTokens::PromptTokens(const Model& model, const Sample& sample, bool use_template)
    : model_(model),
      sample_(sample),
      use_template_(use_template && sample.chat_template && text::has_chat_template(model)) {}

PromptTokens::Parts PromptTokens::parts(std::size_t question) const {
  const std::string& asked = sample_.questions[question].text;
  if (!use_template_) return {sample_.document, asked};
  const std::string text =
      text::apply_chat_template(model_, "", sample_.document + std::string(kMark) + asked);
  const std::size_t mark = text.find(kMark);
  if (mark == std::string::npos) {
    throw Error("the model's chat template leaves out what the user says; use --no-chat-template");
  }
  return {text.substr(0, mark), text.substr(mark + kMark.size())};
}

std::vector<Token> PromptTokens::whole() const {
  const Parts text = parts(0);
  return model_.tokenize(text.before + text.after, /*add_special=*/true, /*parse_special=*/true);
}

std::vector<Token> PromptTokens::document() const {
  return model_.tokenize(parts(0).before, /*add_special=*/true, /*parse_special=*/true);
}

std::vector<Token> PromptTokens::question(std::size_t question) const {
  return model_.tokenize(parts(question).after, /*add_special=*/false, /*parse_special=*/true);
}

std::vector<Token> PromptTokens::turn(std::string_view answer, std::size_t question) const {
  const std::string& asked = sample_.questions[question].text;
  std::string text(answer);
  if (use_template_) {
    const std::array<text::Message, 3> messages = {
        {{"user", sample_.prompt()}, {"assistant", std::string(kMark)}, {"user", asked}}};
    const std::string all = text::apply_chat_template(model_, messages);
    const std::size_t mark = all.find(kMark);
    if (mark == std::string::npos)
      throw Error("the model's chat template leaves out answers; use --no-chat-template");
    text += all.substr(mark + kMark.size());
  } else {
    text += "\n\n" + asked;
  }
  return model_.tokenize(text, /*add_special=*/false, /*parse_special=*/true);
}

}  // namespace chunkkv::eval
