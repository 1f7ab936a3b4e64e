#pragma once

#include "cli/options/options.h"
#include "text/prompt_layout.h"

#include <chunkkv/session.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace chunkkv::cli {

struct PromptArguments : text::PromptRules {
  std::optional<std::string> text;
  std::optional<std::string> file;  ///< "-" is standard input
  std::string question;
  std::int32_t protect = 0;  ///< first tokens that are always kept; 0: the system prompt
  bool escape = false;       ///< \n and the like in text, question and system message are characters
};

void add_prompt_options(CLI::App& app, PromptArguments& arguments);

/// Puts the characters that escapes stand for into text, question and system message, where -e is given.
/// UsageError when there is none of them.
void unescape(PromptArguments& arguments);

/// UsageError when `text` is not UTF-8, with the command that converts it; `what` is called so, `file` is its
/// name where it has one.
void require_utf8(std::string_view text, std::string_view what, const std::optional<std::string>& file = {});

/// The text that is to be read: the document, then the question, so that the question lies in a method's
/// observation window. Reads standard input where neither -p nor -f is given. UsageError when there
/// is nothing to read or it is not text; Error when a file cannot be read.
std::string read_prompt(const PromptArguments& arguments);

/// The complete plan for a prompt: method, budget and what is protected of it. UsageError says what is
/// allowed.
Plan plan_of(const CompressionArguments& compression, const PromptArguments& prompt, const Model& model);

}  // namespace chunkkv::cli
