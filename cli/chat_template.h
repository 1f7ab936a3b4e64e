#pragma once

#include <chunkkv/session.h>

#include <string>

namespace chunkkv::cli {

/// True when the model's file carries a chat template.
bool has_chat_template(const Model& model);

/// One message of the user (after a system message, unless that is empty) in the model's chat template, ready
/// for the model's answer. Error when the template fails.
std::string apply_chat_template(const Model& model, const std::string& system, const std::string& user);

}  // namespace chunkkv::cli
