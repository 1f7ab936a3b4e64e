#pragma once

#include <chunkkv/model.h>

#include <string_view>

namespace chunkkv {

/// What computes the attention of prompts: a kernel of our own, as "AVX2", for 32 and more tokens and an F16
/// cache in main memory (steps of fewer tokens have another such kernel); or "llama.cpp".
std::string_view prompt_attention(const Model& model);

}  // namespace chunkkv
