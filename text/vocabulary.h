#pragma once

#include <chunkkv/model.h>

/// What a model's file says about its tokens and its chat template. Thread-safe.
namespace chunkkv::text {

/// Whether the tokenizer makes this token of text only where it parses control tokens.
bool is_control(const Model& model, Token token);
/// Whether the tokenizer drops the blanks before, or after, this control token.
bool strips_left(const Model& model, Token token);
bool strips_right(const Model& model, Token token);

/// Whether the tokenizer puts a token before, or after, every text.
bool adds_bos(const Model& model);
bool adds_eos(const Model& model);

/// The chat template's source, Jinja; null or empty when the model has none.
const char* chat_template_source(const Model& model);

}  // namespace chunkkv::text
