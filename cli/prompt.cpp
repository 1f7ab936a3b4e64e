#include "prompt.h"

#include "inputs.h"
#include "text/chat_template.h"
#include "text/utf8.h"
#include "text_file.h"

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <string_view>

namespace chunkkv::cli {
namespace {

constexpr std::string_view kHowToGive = "give one with -f FILE, -p TEXT or on standard input";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == text.npos;
}

std::string read_document(const PromptArguments& arguments) {
  if (arguments.text && arguments.file) {
    throw UsageError("-p and -f both give the text; use one of them, and -q for a question about it");
  }
  if (arguments.text) return *arguments.text;
  if (arguments.file) return read_text(*arguments.file);
  if (isatty(STDIN_FILENO)) {
    if (!arguments.question.empty()) return {};
    throw UsageError(fmt::format("there is no prompt; {}", kHowToGive));
  }
  return read_text("-");
}

}  // namespace

void add_prompt_options(CLI::App& app, PromptArguments& arguments) {
  const std::string group = "Prompt";
  reads_file(app.add_option("-f,--file", arguments.file,
                            "file with the text; -: standard input, also read without -f and -p"))
      ->group(group)
      ->option_text("FILE");
  app.add_option("-p,--prompt", arguments.text, "the text itself")->group(group)->option_text("TEXT");
  app.add_option("-q,--question", arguments.question, "question about the text, put after it")
      ->group(group)
      ->option_text("TEXT");
  app.add_option("--system-prompt,--system", arguments.system, "-sys: system message of the chat template")
      ->group(group)
      ->option_text("TEXT");
  app.add_option("--protect", arguments.protect,
                 "first tokens that are always kept (default: the system prompt)")
      ->group(group)
      ->option_text("N")
      ->check(CLI::Range(0, 1 << 24));
  app.add_flag("--no-chat-template", arguments.no_chat_template,
               "read the text as it is, without the model's chat template")
      ->group(group);
}

std::string read_prompt(const PromptArguments& arguments) {
  std::string prompt = read_document(arguments);
  if ((arguments.file || arguments.text) && is_blank(prompt)) {
    const std::string where = arguments.text ? "-p" : fmt::format("'{}'", *arguments.file);
    throw UsageError(fmt::format("the prompt is empty: {} holds no text; {}", where, kHowToGive));
  }
  if (!prompt.empty() && !arguments.question.empty()) prompt += kQuestionGap;
  prompt += arguments.question;
  if (is_blank(prompt)) throw UsageError(fmt::format("the prompt is empty; {}", kHowToGive));
  if (const std::size_t at = text::find_invalid_utf8(prompt); at != std::string::npos) {
    throw UsageError(fmt::format(
        "the prompt is not UTF-8 text (byte {} is wrong); convert it, for example with iconv -t UTF-8", at));
  }
  return prompt;
}

std::vector<Token> tokenize_prompt(const Model& model, const PromptArguments& arguments,
                                   const std::string& prompt) {
  const bool chat = !arguments.no_chat_template && text::has_chat_template(model);
  if (!chat && !arguments.system.empty()) {
    throw UsageError("--system-prompt needs the model's chat template; put its text into the prompt instead");
  }
  const std::string text = chat ? text::apply_chat_template(model, arguments.system, prompt) : prompt;
  return model.tokenize(text, /*add_special=*/true, /*parse_special=*/true);
}

std::int32_t protected_tokens(const Model& model, const PromptArguments& arguments) {
  if (arguments.system.empty()) return arguments.protect;
  const std::vector<Token> one = tokenize_prompt(model, arguments, "a");
  const std::vector<Token> other = tokenize_prompt(model, arguments, "1");
  const auto [end, unused] = std::mismatch(one.begin(), one.end(), other.begin(), other.end());
  return std::max(arguments.protect, std::int32_t(end - one.begin()));
}

Plan plan_of(const CompressionArguments& compression, const PromptArguments& prompt, const Model& model) {
  Plan wanted = plan(compression);
  wanted.protect_first = protected_tokens(model, prompt);
  return wanted;
}

SplitPrompt split_prompt(const Model& model, const PromptArguments& arguments, const std::string& prompt) {
  SplitPrompt split{tokenize_prompt(model, arguments, prompt)};
  const std::size_t n_asked = kQuestionGap.size() + arguments.question.size();
  if (arguments.question.empty() || prompt.size() <= n_asked) return split;
  const std::string document = prompt.substr(0, prompt.size() - n_asked);
  const std::vector<Token> unasked = tokenize_prompt(model, arguments, document);
  const auto [end, other] =
      std::mismatch(split.tokens.begin(), split.tokens.end(), unasked.begin(), unasked.end());
  split.n_question = std::int32_t(split.tokens.end() - end);
  return split;
}

}  // namespace chunkkv::cli
