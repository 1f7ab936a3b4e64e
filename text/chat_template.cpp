#include "text/chat_template.h"

#include "base/blanks.h"
#include "text/vocabulary.h"

#include <chat.h>
#include <fmt/format.h>

#include <exception>
#include <string_view>
#include <vector>

namespace chunkkv::text {

namespace {

/// Describes an error of the template in one line. The engine discards the parser's message, so the template
/// is parsed again to get it.
std::string explanation(const Model& model, std::string what) {
  try {
    const common_chat_template parsed(chat_template_source(model), "", "");
  } catch (const std::exception& error) {
    what = error.what();
  }
  std::string place;
  if (const std::size_t at = what.find("at line "); at != what.npos)
    place = " " + what.substr(at, what.find_first_of("\n:", what.find("column", at)) - at);
  if (place.ends_with(" in source")) place.resize(place.size() - std::string_view(" in source").size());
  constexpr std::string_view kError = "Error: ";
  if (const std::size_t at = what.rfind(kError); at != what.npos) what = what.substr(at + kError.size());
  return fmt::format("the model's chat template has an error{}: {}; use --no-chat-template", place,
                     what.substr(0, what.find('\n')));
}

/// At most 32 bytes from the beginning of `text`, without the blanks around it that templates cut off.
std::string_view beginning(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n\v\f";
  return without_blanks(without_blanks(text, blanks).substr(0, 32), blanks);
}

}  // namespace

bool has_chat_template(const Model& model) {
  const char* const text = chat_template_source(model);
  return text != nullptr && *text != '\0';
}

std::string apply_chat_template(const Model& model, std::span<const Message> messages) {
  common_chat_templates_inputs inputs;
  // The tokenizer adds BOS and EOS; a template that writes them too would double them.
  inputs.add_bos = adds_bos(model);
  inputs.add_eos = adds_eos(model);
  for (const Message& message : messages) {
    common_chat_msg& added = inputs.messages.emplace_back();
    added.role = message.role;
    added.content = message.content;
  }
  try {
    const common_chat_templates_ptr templates = common_chat_templates_init(model.handle(), "");
    return common_chat_templates_apply(templates.get(), inputs).prompt;
  } catch (const std::exception& error) {
    throw Error(explanation(model, error.what()));
  }
}

std::string apply_chat_template(const Model& model, const std::string& system, const std::string& user) {
  std::vector<Message> messages;
  if (!system.empty()) messages.push_back({"system", system});
  messages.push_back({"user", user});
  std::string rendered = apply_chat_template(model, messages);
  if (rendered.find(beginning(user)) == rendered.npos)
    throw Error("the model's chat template leaves out what the user says; use --no-chat-template");
  if (rendered.find(beginning(system)) == rendered.npos)
    throw Error(
        "the model's chat template leaves out the system message; put its text into the prompt instead");
  return rendered;
}

}  // namespace chunkkv::text
