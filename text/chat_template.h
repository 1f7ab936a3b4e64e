#pragma once

#include <chunkkv/session.h>

#include <span>
#include <string>

namespace chunkkv::text {

struct Message {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
};

/// True when the model's file carries a chat template.
bool has_chat_template(const Model& model);

/// The messages in the model's chat template, ready for the model's answer. Error when the template fails.
std::string apply_chat_template(const Model& model, std::span<const Message> messages);

/// One message of the user, after a system message unless that is empty.
std::string apply_chat_template(const Model& model, const std::string& system, const std::string& user);

}  // namespace chunkkv::text
