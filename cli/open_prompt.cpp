#include "open_prompt.h"

#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace chunkkv::cli {
namespace {

/// Stands for a text that is in the cache already, in a rendering that is only made for what follows it.
constexpr std::string_view kMark = "chunkkv-mark-4d1f";
/// Tokens before a text that can tell how it is split into tokens.
constexpr std::size_t kContext = 16;

std::string after_mark(const std::string& rendered) {
  const std::size_t at = rendered.rfind(kMark);
  if (at == std::string::npos)
    throw Error("the model's chat template does not show the user's text as it is; use --no-chat-template");
  return rendered.substr(at + kMark.size());
}

std::string following_text(const Model& model, const OpenPrompt& prompt, const std::string& user) {
  const std::string added = fmt::format("{}{}", kQuestionGap, user);
  const std::string mark(kMark);
  switch (prompt.end) {
    case CacheEnd::text:
      return prompt.tail + added;
    case CacheEnd::user:
      return prompt.tail + after_mark(text::apply_chat_template(model, "", mark + added));
    case CacheEnd::answer:
      return prompt.tail +
             after_mark(text::apply_chat_template(
                 model, std::vector<text::Message>{{"user", "?"}, {"assistant", mark}, {"user", user}}));
  }
  throw Error("unknown end of a prompt");
}

/// The tokens of `text` as they are after `before`: a tokenizer looks at what stands before a text.
std::vector<Token> tokens_after(const Model& model, std::span<const Token> before, const std::string& text) {
  const std::string context = model.detokenize(before.last(std::min(before.size(), kContext)));
  std::vector<Token> tokens = model.tokenize(context + text, /*add_special=*/false, /*parse_special=*/true);
  std::size_t n_bytes = 0;
  for (const Token token : tokens) n_bytes += model.detokenize(token).size();
  // Some tokenizers put a space before a text.
  std::size_t end = context.size() + (n_bytes - std::min(n_bytes, context.size() + text.size()));
  auto first = tokens.begin();
  while (first != tokens.end() && end > 0) {
    const std::size_t n = model.detokenize(*first).size();
    if (n > end) return model.tokenize(text, false, true);  // the two have grown together
    end -= n;
    ++first;
  }
  tokens.erase(tokens.begin(), first);
  return tokens;
}

}  // namespace

OpenPrompt open_prompt(const Model& model, const PromptArguments& arguments, const std::string& document) {
  PromptArguments probe = arguments;
  probe.question = "Why?";
  const std::string added = fmt::format("{}{}", kQuestionGap, probe.question);
  const SplitPrompt split = split_prompt(model, probe, document + added);

  OpenPrompt prompt;
  const auto n_before = split.tokens.size() - std::size_t(split.n_question);
  prompt.tokens.assign(split.tokens.begin(), split.tokens.begin() + std::ptrdiff_t(n_before));
  const std::string rest = model.detokenize(std::span(split.tokens).subspan(n_before));
  const std::size_t at = rest.find(added);
  if (at == std::string::npos)
    throw Error("the model's chat template does not show the user's text as it is; use --no-chat-template");
  prompt.tail = rest.substr(0, at);
  if (!arguments.no_chat_template && text::has_chat_template(model)) prompt.end = CacheEnd::user;
  return prompt;
}

std::vector<Token> following_tokens(const Model& model, const OpenPrompt& prompt, const std::string& user) {
  return tokens_after(model, prompt.tokens, following_text(model, prompt, user));
}

}  // namespace chunkkv::cli
