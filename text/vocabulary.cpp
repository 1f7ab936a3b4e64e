#include "text/vocabulary.h"

#include <llama.h>

namespace chunkkv::text {
namespace {

const llama_vocab* vocabulary(const Model& model) {
  return llama_model_get_vocab(model.handle());
}

bool has_attribute(const Model& model, Token token, int attributes) {
  return (llama_vocab_get_attr(vocabulary(model), token) & attributes) != 0;
}

}  // namespace

bool is_control(const Model& model, Token token) {
  return has_attribute(model, token, LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN);
}

bool strips_left(const Model& model, Token token) {
  return has_attribute(model, token, LLAMA_TOKEN_ATTR_LSTRIP);
}

bool strips_right(const Model& model, Token token) {
  return has_attribute(model, token, LLAMA_TOKEN_ATTR_RSTRIP);
}

bool adds_bos(const Model& model) {
  return llama_vocab_get_add_bos(vocabulary(model));
}

bool adds_eos(const Model& model) {
  return llama_vocab_get_add_eos(vocabulary(model));
}

const char* chat_template_source(const Model& model) {
  return llama_model_chat_template(model.handle(), nullptr);
}

}  // namespace chunkkv::text
