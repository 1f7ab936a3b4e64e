#include "text/chat_template.h"

#include <chat.h>
#include <fmt/format.h>
#include <llama.h>

#include <exception>
#include <vector>

namespace chunkkv::text {

bool has_chat_template(const Model& model) {
  return llama_model_chat_template(model.handle(), nullptr) != nullptr;
}

std::string apply_chat_template(const Model& model, std::span<const Message> messages) {
  const llama_vocab* vocab = llama_model_get_vocab(model.handle());
  common_chat_templates_inputs inputs;
  // The tokenizer adds these; a template that writes them too would double them.
  inputs.add_bos = llama_vocab_get_add_bos(vocab);
  inputs.add_eos = llama_vocab_get_add_eos(vocab);
  for (const Message& message : messages) {
    common_chat_msg& added = inputs.messages.emplace_back();
    added.role = message.role;
    added.content = message.content;
  }
  try {
    const common_chat_templates_ptr templates = common_chat_templates_init(model.handle(), "");
    return common_chat_templates_apply(templates.get(), inputs).prompt;
  } catch (const std::exception& error) {
    throw Error(fmt::format("the model's chat template fails: {}; use --no-chat-template", error.what()));
  }
}

std::string apply_chat_template(const Model& model, const std::string& system, const std::string& user) {
  std::vector<Message> messages;
  if (!system.empty()) messages.push_back({"system", system});
  messages.push_back({"user", user});
  return apply_chat_template(model, messages);
}

}  // namespace chunkkv::text
