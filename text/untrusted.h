#pragma once

#include <chunkkv/session.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::text {

/// A piece of a prompt: of the model's chat template, or what somebody wrote.
struct Part {
  std::string text;
  bool is_template = false;
};

/// The prompt that `apply_chat_template` makes, in parts: the user's text is not the template's, all else is.
/// Error when the template does not show the user's text as it is.
std::vector<Part> prompt_parts(const Model& model, const std::string& system, const std::string& user);

/// What such a prompt goes on with behind the model's answer, when the user says `next`.
std::vector<Part> turn_parts(const Model& model, const std::string& user, const std::string& next);

/// `all` in three parts, before, in and behind what stands where `marked` has `mark`; the middle one is not
/// the template's. Error when the two do not agree.
std::vector<Part> split_around(const std::string& all, const std::string& marked, std::string_view mark);

/// The tokens of all parts together. Control tokens, such as the end of a turn, are read as such in the
/// template only: what is written out in the other parts is text. Where there is nothing of the kind in them,
/// these are the tokens of the joined text.
std::vector<Token> tokenize_untrusted(const Model& model, std::span<const Part> parts, bool add_special);

}  // namespace chunkkv::text
