#include "text/untrusted.h"

#include "text/chat_template.h"
#include "text/vocabulary.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace chunkkv::text {
namespace {

/// Stand for the user's text and the model's answer in renderings that show where the template puts them. The
/// characters are of Unicode's private use area.
constexpr std::string_view kMark = "\uE000\uE0C1\uE000";
constexpr std::string_view kAnswer = "\uE000\uE0C2\uE000";

std::ptrdiff_t count_controls(const Model& model, std::span<const Token> tokens) {
  return std::count_if(tokens.begin(), tokens.end(), [&](Token token) { return is_control(model, token); });
}

/// Tokenizes parts as one text, as the tokenizer itself does, but parses control tokens in the template only.
class PartTokenizer {
 public:
  explicit PartTokenizer(const Model& model) : model_(model) {}

  void add_text(std::string_view text) { raw_ += text; }

  void add_template(std::string_view text) {
    for (const Token token : model_.tokenize(text, /*add_special=*/false, /*parse_special=*/true)) {
      if (!is_control(model_, token)) continue;
      const std::string written = model_.detokenize(token);
      const std::size_t at = text.find(written);
      if (written.empty() || at == text.npos) continue;
      raw_ += text.substr(0, at);
      if (strips_left(model_, token)) raw_.erase(raw_.find_last_not_of(kBlank) + 1);
      flush();
      tokens_.push_back(token);
      text.remove_prefix(at + written.size());
      if (strips_right(model_, token))
        text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
    }
    raw_ += text;
  }

  std::vector<Token> finish() {
    flush();
    return std::move(tokens_);
  }

 private:
  static constexpr std::string_view kBlank = " \t\n\r\v\f";

  void flush() {
    if (raw_.empty()) return;
    const std::vector<Token> tokens = model_.tokenize(raw_, /*add_special=*/false, /*parse_special=*/false);
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    raw_.clear();
  }

  const Model& model_;
  std::string raw_;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Part> split_around(const std::string& all, const std::string& marked, std::string_view mark) {
  const std::size_t at = std::min(marked.rfind(mark), marked.size());
  const std::string before = marked.substr(0, at),
                    after = marked.substr(std::min(at + mark.size(), marked.size()));
  if (at == marked.size() || all.size() < before.size() + after.size() || !all.starts_with(before) ||
      !all.ends_with(after))
    throw Error("the model's chat template does not show the user's text as it is; use --no-chat-template");
  return {
      {before, true}, {all.substr(before.size(), all.size() - before.size() - after.size())}, {after, true}};
}

std::vector<Part> prompt_parts(const Model& model, const std::string& system, const std::string& user) {
  return split_around(apply_chat_template(model, system, user),
                      apply_chat_template(model, system, std::string(kMark)), kMark);
}

std::vector<Part> turn_parts(const Model& model, const std::string& user, const std::string& next) {
  const auto behind_answer = [&](const std::string& asked) {
    const std::vector<Message> messages = {
        {"user", user}, {"assistant", std::string(kAnswer)}, {"user", asked}};
    const std::string all = apply_chat_template(model, messages);
    const std::size_t at = all.find(kAnswer);
    if (at == all.npos) throw Error("the model's chat template leaves out answers; use --no-chat-template");
    return all.substr(at + kAnswer.size());
  };
  return split_around(behind_answer(next), behind_answer(std::string(kMark)), kMark);
}

std::vector<Token> tokenize_untrusted(const Model& model, std::span<const Part> parts, bool add_special) {
  std::string all;
  std::ptrdiff_t n_controls = 0;
  for (const Part& part : parts) {
    all += part.text;
    if (part.is_template) n_controls += count_controls(model, model.tokenize(part.text, false, true));
  }
  std::vector<Token> joined = model.tokenize(all, /*add_special=*/false, /*parse_special=*/true);
  const bool is_plain = count_controls(model, joined) == n_controls;
  if (is_plain) return add_special ? model.tokenize(all, true, true) : joined;

  PartTokenizer tokenizer(model);
  for (const Part& part : parts)
    part.is_template ? tokenizer.add_template(part.text) : tokenizer.add_text(part.text);
  std::vector<Token> tokens = tokenizer.finish();
  if (!add_special) return tokens;
  // The tokens that the tokenizer puts around any text, such as BOS: those of "a" without the letter's own.
  const std::vector<Token> bare = model.tokenize("a", false, false), whole = model.tokenize("a", true, false);
  const auto own = std::search(whole.begin(), whole.end(), bare.begin(), bare.end());
  tokens.insert(tokens.begin(), whole.begin(), own);
  if (own != whole.end()) tokens.insert(tokens.end(), own + std::ptrdiff_t(bare.size()), whole.end());
  return tokens;
}

}  // namespace chunkkv::text
