#pragma once

#include <cstddef>
#include <string>

struct llama_model;

namespace chunkkv::engine {

/// Why the cache of `model` cannot be compressed, as a sentence that names the reason; empty when it can.
std::string why_unsupported(const llama_model* model);

/// Bytes that a cell of `model` has in a state beside its position and sequence: models with several
/// positions a token (M-RoPE) keep the others and the token there.
std::size_t cell_extension(const llama_model* model);

}  // namespace chunkkv::engine
