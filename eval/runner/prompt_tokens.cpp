#include "runner/prompt_tokens.h"

#include "text/chat_template.h"
#include "text/plain_text.h"

#include <chunkkv/error.h>

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

PromptTokens::Halves PromptTokens::halves(std::size_t question) const {
  const std::string& asked = sample_.questions[question].text;
  const text::Part document = {.text = sample_.document}, request = {.text = asked};
  if (!use_template_) return {{document}, {request}};
  std::vector<text::Part> parts =
      text::prompt_parts(model_, "", sample_.document + std::string(kMark) + asked);
  const std::string content = parts[1].text;  // templates may cut blanks off
  const std::size_t mark = content.find(kMark);
  if (mark == std::string::npos)
    throw Error("the model's chat template leaves out what the user says; use --no-chat-template");
  return {{parts[0], {.text = content.substr(0, mark)}},
          {{.text = content.substr(mark + kMark.size())}, parts[2]}};
}

std::vector<Token> PromptTokens::whole() const {
  const Halves prompt = halves(0);
  Parts all = prompt.before;
  all.insert(all.end(), prompt.after.begin(), prompt.after.end());
  return text::tokenize_untrusted(model_, all, /*add_special=*/true);
}

std::vector<Token> PromptTokens::document() const {
  return text::tokenize_untrusted(model_, halves(0).before, /*add_special=*/true);
}

std::vector<Token> PromptTokens::question(std::size_t question) const {
  return text::tokenize_untrusted(model_, halves(question).after, /*add_special=*/false);
}

std::vector<Token> PromptTokens::turn(std::string_view answer, std::size_t question) const {
  const std::string& asked = sample_.questions[question].text;
  Parts parts = {{.text = std::string(answer)}};
  if (use_template_) {
    const Parts turn = text::turn_parts(model_, sample_.prompt(), asked);
    parts.insert(parts.end(), turn.begin(), turn.end());
  } else {
    parts.push_back({.text = "\n\n" + asked});
  }
  return text::tokenize_untrusted(model_, parts, /*add_special=*/false);
}

}  // namespace chunkkv::eval
