#pragma once

#include "cli/options/options.h"
#include "text/prompt_layout.h"

#include <chunkkv/session.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::cli {

struct PromptArguments : text::PromptRules {
  std::optional<std::string> text;
  std::optional<std::string> file;  ///< "-" is standard input
  std::string question;
  std::int32_t protect = 0;  ///< first tokens that are always kept; the system prompt is in any case
  bool escape = false;       ///< escapes like \n in text, question and system message stand for characters
};

void add_prompt_options(CLI::App& app, PromptArguments& arguments);

/// With -e, replaces the escapes in text, question and system message by the characters that they stand for.
/// UsageError when -e is given and none of the three is.
void unescape(PromptArguments& arguments);

/// UsageError when `text` is not UTF-8, with the command that converts it. `what` names the text in the
/// message; `file` is the file that holds it, if any.
void require_utf8(std::string_view text, std::string_view what, const std::optional<std::string>& file = {});

/// The text that is to be read: the document, then the question, so that the question lies in a method's
/// observation window. Reads standard input where neither -p nor -f is given. UsageError when there is
/// nothing to read, -p and -f are both given, or a text is not UTF-8; Error when a file cannot be read.
std::string read_prompt(const PromptArguments& arguments);

/// The complete plan for a prompt: method, budget and protected first tokens, at least the system prompt.
/// UsageError says what is allowed.
Plan plan_of(const CompressionArguments& compression, const PromptArguments& prompt, const Model& model);

}  // namespace chunkkv::cli
