#include "chat_template.h"

#include <chat.h>
#include <fmt/format.h>
#include <llama.h>

#include <exception>

namespace chunkkv::cli {
namespace {

common_chat_msg message(const char* role, const std::string& content) {
  common_chat_msg message;
  message.role = role;
  message.content = content;
  return message;
}

}  // namespace

bool has_chat_template(const Model& model) {
  return llama_model_chat_template(model.handle(), nullptr) != nullptr;
}

std::string apply_chat_template(const Model& model, const std::string& system, const std::string& user) {
  const llama_vocab* vocab = llama_model_get_vocab(model.handle());
  common_chat_templates_inputs inputs;
  // The tokenizer adds these; a template that writes them too would double them.
  inputs.add_bos = llama_vocab_get_add_bos(vocab);
  inputs.add_eos = llama_vocab_get_add_eos(vocab);
  if (!system.empty()) inputs.messages.push_back(message("system", system));
  inputs.messages.push_back(message("user", user));
  try {
    const common_chat_templates_ptr templates = common_chat_templates_init(model.handle(), "");
    return common_chat_templates_apply(templates.get(), inputs).prompt;
  } catch (const std::exception& error) {
    throw Error(fmt::format("the model's chat template fails: {}; use --no-chat-template", error.what()));
  }
}

}  // namespace chunkkv::cli
