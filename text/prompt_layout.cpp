#include "text/prompt_layout.h"

#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <span>
#include <utility>

namespace chunkkv::text {
namespace {

/// Marks the end of the document in a text that goes through a chat template. The characters are of Unicode's
/// private use area.
constexpr std::string_view kDocumentEnd = "\uE000\uE0C0\uE000";
constexpr const char* kNotShown =
    "the model's chat template does not show the user's text as it is; use --no-chat-template";
/// Stands for text that is in the cache already, in a rendering of which only what follows it is used.
constexpr std::string_view kReadMark = "chunkkv-mark-4d1f";
/// Stands for the user's next text.
constexpr std::string_view kUserMark = "chunkkv-mark-7c2b";
/// Number of tokens before a text that may change how the text is split into tokens.
constexpr std::size_t kContext = 16;

std::string after_mark(const std::string& rendered) {
  const std::size_t at = rendered.rfind(kReadMark);
  if (at == std::string::npos) throw Error(kNotShown);
  return rendered.substr(at + kReadMark.size());
}

/// The text that follows the prompt when the user's next text is `user`.
std::string following_text(const Model& model, const OpenPrompt& prompt, const std::string& user) {
  const std::string mark(kReadMark);
  switch (prompt.end) {
    case CacheEnd::text:
      return prompt.tail + user;
    case CacheEnd::user:
      return prompt.tail + after_mark(apply_chat_template(model, "", mark + user));
    case CacheEnd::answer:
      return prompt.tail +
             after_mark(apply_chat_template(
                 model, std::vector<Message>{{"user", "?"}, {"assistant", mark}, {"user", user}}));
  }
  throw Error("unknown end of a prompt");
}

/// The same text in parts. Only what stays the same for another user's text counts as the template's.
std::vector<Part> following_parts(const Model& model, const OpenPrompt& prompt, const std::string& user) {
  const std::string all = following_text(model, prompt, user);
  const std::string marked = following_text(model, prompt, std::string(kUserMark));
  const std::size_t n_tail = prompt.tail.size();
  std::vector<Part> parts = split_around(all.substr(n_tail), marked.substr(n_tail), kUserMark);
  parts.insert(parts.begin(), Part{.text = prompt.tail});
  return parts;
}

/// Returns the tokens of `context` and a fixed text after it, tokenized as one.
using Tokenizer = std::function<std::vector<Token>(const std::string& context)>;

/// The tokens of `text` when it follows `before`: how a text is split depends on what stands before it.
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
    if (n > end) return tokenize("");  // one token holds parts of both
    end -= n;
    ++first;
  }
  tokens.erase(tokens.begin(), first);
  return tokens;
}

}  // namespace

OpenPrompt prompt_of(const CacheFile& file) {
  OpenPrompt prompt{file.snapshot.tokens, file.info.tail, file.info.end};
  prompt.tokens.insert(prompt.tokens.end(), file.info.rest.begin(), file.info.rest.end());
  return prompt;
}

PromptLayout::PromptLayout(const Model& model, PromptRules rules)
    : model_(model),
      rules_(std::move(rules)),
      is_chat_(!rules_.no_chat_template && has_chat_template(model)) {}

std::vector<Token> PromptLayout::tokens(const std::string& prompt) const {
  if (!is_chat_ && !rules_.system.empty()) {
    throw UsageError("--system-prompt needs the model's chat template; put its text into the prompt instead");
  }
  if (rules_.no_special) {
    const std::vector<Part> parts =
        is_chat_ ? prompt_parts(model_, rules_.system, prompt) : std::vector<Part>{{.text = prompt}};
    return tokenize_untrusted(model_, parts, /*add_special=*/true);
  }
  const std::string text = is_chat_ ? apply_chat_template(model_, rules_.system, prompt) : prompt;
  return model_.tokenize(text, /*add_special=*/true, /*parse_special=*/true);
}

std::int32_t PromptLayout::n_system() const {
  if (rules_.system.empty()) return 0;
  const std::vector<Token> one = tokens("a");
  const std::vector<Token> other = tokens("1");
  const auto [end, unused] = std::mismatch(one.begin(), one.end(), other.begin(), other.end());
  return std::int32_t(end - one.begin());
}

SplitPrompt PromptLayout::split(const std::string& prompt, std::string_view question) const {
  SplitPrompt split{tokens(prompt)};
  const std::size_t n_asked = kQuestionGap.size() + question.size();
  if (question.empty() || prompt.size() <= n_asked) return split;
  const std::vector<Token> unasked = tokens(prompt.substr(0, prompt.size() - n_asked));
  const auto [end, other] =
      std::mismatch(split.tokens.begin(), split.tokens.end(), unasked.begin(), unasked.end());
  split.n_question = std::int32_t(split.tokens.end() - end);
  return split;
}

OpenPrompt PromptLayout::open(const std::string& document) const {
  constexpr std::string_view kQuestion = "Why?";
  const std::string added = fmt::format("{}{}", kQuestionGap, kQuestion);
  const SplitPrompt asked = split(document + added, kQuestion);

  OpenPrompt prompt;
  const auto n_before = asked.tokens.size() - std::size_t(asked.n_question);
  prompt.tokens.assign(asked.tokens.begin(), asked.tokens.begin() + std::ptrdiff_t(n_before));
  const std::string rest = model_.detokenize(std::span(asked.tokens).subspan(n_before));
  const std::size_t at = rest.find(added);
  if (at == std::string::npos) throw Error(kNotShown);
  prompt.tail = rest.substr(0, at);
  if (is_chat_) prompt.end = CacheEnd::user;
  return prompt;
}

std::vector<Token> PromptLayout::following(const OpenPrompt& prompt, const std::string& user) const {
  // After an answer the question is a message of its own; otherwise it follows the text, after a gap.
  const std::string asked = prompt.end == CacheEnd::answer ? user : fmt::format("{}{}", kQuestionGap, user);
  const std::string text = following_text(model_, prompt, asked);
  return tokens_after(prompt.tokens, text, model_, [&](const std::string& context) {
    if (!rules_.no_special)
      return model_.tokenize(context + text, /*add_special=*/false, /*parse_special=*/true);
    std::vector<Part> parts = following_parts(model_, prompt, asked);
    parts.insert(parts.begin(), Part{.text = context, .is_template = true});
    return tokenize_untrusted(model_, parts, /*add_special=*/false);
  });
}

PromptHalves PromptLayout::halves(const std::string& document, const std::string& question) const {
  if (!is_chat_) return {{{.text = document}}, {{.text = question}}};
  std::vector<Part> parts =
      prompt_parts(model_, rules_.system, document + std::string(kDocumentEnd) + question);
  const std::string content = parts[1].text;  // templates may cut blanks off
  const std::size_t mark = content.find(kDocumentEnd);
  if (mark == std::string::npos)
    throw Error("the model's chat template leaves out what the user says; use --no-chat-template");
  return {{parts[0], {.text = content.substr(0, mark)}},
          {{.text = content.substr(mark + kDocumentEnd.size())}, parts[2]}};
}

std::vector<Part> PromptLayout::turn(const std::string& prompt, std::string_view answer,
                                     const std::string& question) const {
  std::vector<Part> parts = {{.text = std::string(answer)}};
  if (is_chat_) {
    const std::vector<Part> turn = turn_parts(model_, prompt, question);
    parts.insert(parts.end(), turn.begin(), turn.end());
  } else {
    parts.push_back({.text = fmt::format("{}{}", kQuestionGap, question)});
  }
  return parts;
}

}  // namespace chunkkv::text
