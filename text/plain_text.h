#pragma once

#include <chunkkv/session.h>

#include <span>
#include <string>

namespace chunkkv::text {

/// The text that `tokens` stand for, without the model's control tokens (BOS, EOS, turns of a chat) and
/// without the blank that some tokenizers put before a text: what was tokenized comes back. Tokens from the
/// middle of a text give its middle. A cut may split a character: the bytes need not be valid UTF-8.
std::string plain_text(const Model& model, std::span<const Token> tokens);

}  // namespace chunkkv::text
