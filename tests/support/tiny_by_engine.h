#pragma once

#include "tiny_gguf.h"
#include "tiny_model.h"

namespace chunkkv::test {

/// Adds the tensors that the engine asks for when it makes a model of the keys of `file`, with seeded values.
/// std::runtime_error where it refuses the keys.
void add_tensors_by_engine(const TinyModel& what, GgufBuilder& file);

}  // namespace chunkkv::test
