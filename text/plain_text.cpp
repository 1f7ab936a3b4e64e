#include "text/plain_text.h"

#include "text/vocabulary.h"

#include <algorithm>

namespace chunkkv::text {
namespace {

bool puts_blank_before(const Model& model) {
  std::string text;
  for (const Token token : model.tokenize("a", /*add_special=*/false, /*parse_special=*/false))
    text += model.detokenize(token);
  return text.starts_with(' ');
}

}  // namespace

std::string plain_text(const Model& model, std::span<const Token> tokens) {
  const auto is_written = [&](Token token) { return !is_control(model, token); };
  const auto begin = std::find_if(tokens.begin(), tokens.end(), is_written);
  std::string text;
  for (auto token = begin; token != tokens.end(); ++token)
    if (is_written(*token)) text += model.detokenize(*token);
  // Where the model adds BOS, tokens without it are not the beginning of a text.
  const bool is_beginning = begin != tokens.begin() || !adds_bos(model);
  if (is_beginning && text.starts_with(' ') && puts_blank_before(model)) text.erase(0, 1);
  return text;
}

}  // namespace chunkkv::text
