#pragma once

#include <llama.h>

#include <string>

namespace chunkkv::test {

/// The path of the default model's file; the environment's CHUNKKV_TEST_MODEL may name another copy.
std::string default_model();

/// A model's weights in other types, converted by the engine into this process's temporary folder.
std::string converted_model(const std::string& model, llama_ftype type);
/// The default model's weights in F32.
std::string f32_model();

}  // namespace chunkkv::test
