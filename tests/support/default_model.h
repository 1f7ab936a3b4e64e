#pragma once

#include <string>

namespace chunkkv::test {

/// The path of the default model's file; the environment's CHUNKKV_TEST_MODEL may name another copy.
std::string default_model();

/// The same weights in F32, converted by the engine into this process's temporary folder.
std::string f32_model();

}  // namespace chunkkv::test
