#pragma once

#include <chunkkv/model.h>

#include <string_view>

namespace chunkkv {

/// Names what computes the attention of prompts: a kernel of our own, such as "AVX2", for 32 and more tokens
/// and an F16 cache in main memory (steps of fewer tokens have a kernel of their own); or "llama.cpp".
std::string_view prompt_attention(const Model& model);

}  // namespace chunkkv
