#pragma once

#include "cli/options/options.h"

#include <chunkkv/session.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace chunkkv::cli {

/// Between document and question.
inline constexpr std::string_view kQuestionGap = "\n\n";

struct PromptArguments {
  std::optional<std::string> text;
  std::optional<std::string> file;  ///< "-" is standard input
  std::string question;
  std::string system;
  std::int32_t protect = 0;  ///< first tokens that are always kept
  bool no_chat_template = false;
  bool no_special = false;  ///< control tokens written out in text and question are text
  bool escape = false;      ///< \n and the like in text, question and system message are characters
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

/// Tokens of `prompt` as one message of the user in the model's chat template; plain text where the model has
/// none or --no-chat-template is given.
std::vector<Token> tokenize_prompt(const Model& model, const PromptArguments& arguments,
                                   const std::string& prompt);

/// How many first tokens every method must keep: --protect, or the system prompt and what the template puts
/// around it.
std::int32_t protected_tokens(const Model& model, const PromptArguments& arguments);

/// The complete plan for a prompt: method, budget and what is protected of it. UsageError says what is
/// allowed.
Plan plan_of(const CompressionArguments& compression, const PromptArguments& prompt, const Model& model);

/// A prompt's tokens, and how many at its end ask: the question and what the template puts after it.
struct SplitPrompt {
  std::vector<Token> tokens;
  std::int32_t n_question = 0;  ///< 0 without a question, or where there is nothing but a question
};

/// The tokens of `tokenize_prompt` for what `read_prompt` returned. A token that holds both the end of the
/// document and the question's beginning counts as the question's.
SplitPrompt split_prompt(const Model& model, const PromptArguments& arguments, const std::string& prompt);

}  // namespace chunkkv::cli
