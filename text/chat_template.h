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

/// Renders the messages with the model's chat template, ready for the model's answer. Error when it fails.
std::string apply_chat_template(const Model& model, std::span<const Message> messages);

/// Renders one user message, after `system` unless that is empty. Error as well when one of them is left out.
std::string apply_chat_template(const Model& model, const std::string& system, const std::string& user);

}  // namespace chunkkv::text
