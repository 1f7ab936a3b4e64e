#include "cli/commands/open_prompt.h"

#include "text/chat_template.h"
#include "text/untrusted.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <span>

namespace chunkkv::cli {
namespace {

/// Stands for a text that is in the cache already, in a rendering that is only made for what follows it.
constexpr std::string_view kMark = "chunkkv-mark-4d1f";
/// Stands for the user's next text.
constexpr std::string_view kUserMark = "chunkkv-mark-7c2b";
/// Tokens before a text that can tell how it is split into tokens.
constexpr std::size_t kContext = 16;

std::string after_mark(const std::string& rendered) {
  const std::size_t at = rendered.rfind(kMark);
  if (at == std::string::npos)
    throw Error("the model's chat template does not show the user's text as it is; use --no-chat-template");
  return rendered.substr(at + kMark.size());
}

/// What follows the prompt when `user` asks.
std::string following_text(const Model& model, const OpenPrompt& prompt, const std::string& user) {
  const std::string mark(kMark);
  switch (prompt.end) {
    case CacheEnd::text:
      return prompt.tail + user;
    case CacheEnd::user:
      return prompt.tail + after_mark(text::apply_chat_template(model, "", mark + user));
    case CacheEnd::answer:
      return prompt.tail +
             after_mark(text::apply_chat_template(
                 model, std::vector<text::Message>{{"user", "?"}, {"assistant", mark}, {"user", user}}));
  }
  throw Error("unknown end of a prompt");
}

/// What follows the prompt in parts: only what is the same whatever the user says is the template's.
std::vector<text::Part> following_parts(const Model& model, const OpenPrompt& prompt,
                                        const std::string& user) {
  const std::string all = following_text(model, prompt, user);
  const std::string marked = following_text(model, prompt, std::string(kUserMark));
  const std::size_t n_tail = prompt.tail.size();
  std::vector<text::Part> parts = text::split_around(all.substr(n_tail), marked.substr(n_tail), kUserMark);
  parts.insert(parts.begin(), text::Part{.text = prompt.tail});
  return parts;
}

/// The tokens of a text behind another one.
using Tokenizer = std::function<std::vector<Token>(const std::string& context)>;

/// The tokens of `text` as they are after `before`: a tokenizer looks at what stands before a text.
std::vector<Token> tokens_after(std::span<const Token> before, const std::string& text, const Model& model,
                                const Tokenizer& tokenize) {
  const std::string context = model.detokenize(before.last(std::min(before.size(), kContext)));
  std::vector<Token> tokens = tokenize(context);
  std::size_t n_bytes = 0;
  for (const Token token : tokens) n_bytes += model.detokenize(token).size();
  // Some tokenizers put a space before a text.
  std::size_t end = context.size() + (n_bytes - std::min(n_bytes, context.size() + text.size()));
  auto first = tokens.begin();
  while (first != tokens.end() && end > 0) {
    const std::size_t n = model.detokenize(*first).size();
    if (n > end) return tokenize("");  // the two have grown together
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

std::vector<Token> following_tokens(const Model& model, const OpenPrompt& prompt, const std::string& user,
                                    bool no_special) {
  // An answer is a message of its own; otherwise the question follows the text.
  const std::string asked = prompt.end == CacheEnd::answer ? user : fmt::format("{}{}", kQuestionGap, user);
  const std::string text = following_text(model, prompt, asked);
  if (!no_special)
    return tokens_after(prompt.tokens, text, model, [&](const std::string& context) {
      return model.tokenize(context + text, /*add_special=*/false, /*parse_special=*/true);
    });
  std::vector<text::Part> parts = following_parts(model, prompt, asked);
  parts.insert(parts.begin(), text::Part{.text = {}, .is_template = true});
  return tokens_after(prompt.tokens, text, model, [&](const std::string& context) {
    parts.front().text = context;
    return text::tokenize_untrusted(model, parts, /*add_special=*/false);
  });
}

}  // namespace chunkkv::cli
