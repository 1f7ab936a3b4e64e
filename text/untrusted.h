#pragma once

#include <chunkkv/session.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::text {

/// A piece of a prompt: from the model's chat template, or text that somebody wrote.
struct Part {
  std::string text;
  bool is_template = false;
};

/// The prompt that `apply_chat_template` makes, in three parts: only the middle one, the user's text, is not
/// the template's. Error when the template does not show the user's text as it is.
std::vector<Part> prompt_parts(const Model& model, const std::string& system, const std::string& user);

/// The parts that follow the model's answer to `user` when the user's next message is `next`.
std::vector<Part> turn_parts(const Model& model, const std::string& user, const std::string& next);

/// `all` in three parts, where `marked` is the same text with `mark` in place of the middle part. Only that
/// one is not the template's. Error when the two texts do not agree around it.
std::vector<Part> split_around(const std::string& all, const std::string& marked, std::string_view mark);

/// The tokens of all parts together. Control tokens, such as the end of a turn, are parsed in the template's
/// parts only: written out in other parts they are plain text. Where the other parts hold none, these are the
/// tokens of the joined text. `add_special`: with BOS and EOS, as the model has them.
std::vector<Token> tokenize_untrusted(const Model& model, std::span<const Part> parts, bool add_special);

}  // namespace chunkkv::text
