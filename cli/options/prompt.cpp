#include "cli/options/prompt.h"

#include "cli/files/inputs.h"
#include "cli/files/text_file.h"
#include "cli/options/option_group.h"
#include "text/encoding.h"
#include "text/utf8.h"

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

std::int32_t hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// llama.cpp's escapes: \n \t \r \' \" \\ and \xHH. A backslash before anything else stays.
std::string unescaped(std::string_view text) {
  constexpr std::string_view kNames = "ntr'\"\\", kCharacters = "\n\t\r'\"\\";
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    const std::size_t name = next == '\0' ? kNames.npos : kNames.find(next);
    const bool is_hex =
        next == 'x' && i + 3 < text.size() && hex_digit(text[i + 2]) >= 0 && hex_digit(text[i + 3]) >= 0;
    if (name != kNames.npos) {
      result += kCharacters[name];
      i += 1;
    } else if (is_hex) {
      result += char(hex_digit(text[i + 2]) * 16 + hex_digit(text[i + 3]));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
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
  const OptionGroup options(app, "Prompt");
  reads_file(options.add("-f,--file", arguments.file,
                         "file with the text; -: standard input, also read without -f and -p", "FILE"));
  options.add("-p,--prompt", arguments.text, "the text itself", "TEXT");
  options.add("-q,--question", arguments.question, "question about the text, put after it", "TEXT");
  options.add("--system-prompt,--system", arguments.system, "-sys: system message of the chat template",
              "TEXT");
  options.add("--protect", arguments.protect,
              "first tokens that are always kept (default: the system prompt)", "N", 0, 1 << 24);
  options.flag(
      "--no-special", arguments.no_special,
      "for text of unknown origin: control tokens written out in text and question are read as text");
  options.flag("-e,--escape", arguments.escape,
               R"(\n, \t, \r, \", \', \\ and \xHH in -p, -q and -sys stand for characters)");
  options.flag("--no-chat-template", arguments.no_chat_template,
               "read the text as it is, without the model's chat template");
}

void unescape(PromptArguments& arguments) {
  if (!arguments.escape) return;
  if (!arguments.text && arguments.question.empty() && arguments.system.empty())
    throw UsageError("-e has no effect without -p, -q or -sys; files are read as they are");
  if (arguments.text) arguments.text = unescaped(*arguments.text);
  arguments.question = unescaped(arguments.question);
  arguments.system = unescaped(arguments.system);
}

void require_utf8(std::string_view text, std::string_view what, const std::optional<std::string>& file) {
  const std::size_t at = text::find_invalid_utf8(text);
  if (at == text.npos) return;
  throw UsageError(fmt::format("{} is not UTF-8 text (byte {} is wrong); {}", what, at,
                               text::encoding_advice(text, file.value_or(""))));
}

std::string read_prompt(const PromptArguments& arguments) {
  std::string prompt = read_document(arguments);
  const bool is_file = arguments.file && *arguments.file != "-";
  require_utf8(prompt, "the prompt", is_file ? arguments.file : std::nullopt);
  require_utf8(arguments.question, "the question");
  require_utf8(arguments.system, "the system message");
  if ((arguments.file || arguments.text) && is_blank(prompt)) {
    const std::string where = arguments.text ? "-p" : fmt::format("'{}'", *arguments.file);
    throw UsageError(fmt::format("the prompt is empty: {} holds no text; {}", where, kHowToGive));
  }
  if (!prompt.empty() && !arguments.question.empty()) prompt += text::kQuestionGap;
  prompt += arguments.question;
  if (is_blank(prompt)) throw UsageError(fmt::format("the prompt is empty; {}", kHowToGive));
  return prompt;
}

Plan plan_of(const CompressionArguments& compression, const PromptArguments& prompt, const Model& model) {
  Plan wanted = plan(compression);
  wanted.protect_first = std::max(prompt.protect, text::PromptLayout(model, prompt).n_system());
  return wanted;
}

}  // namespace chunkkv::cli
