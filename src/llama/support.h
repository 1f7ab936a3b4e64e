#pragma once

#include <cstddef>
#include <string>

struct llama_model;

namespace chunkkv::engine {

/// A value of the model's metadata as text; empty where there is none.
std::string metadata(const llama_model* model, const std::string& key);

/// Why the cache of `model` cannot be compressed, as a sentence that names the reason; empty when it can.
std::string why_unsupported(const llama_model* model);

/// Bytes that a state of `model` holds for each cell besides its position and sequence. Models with several
/// positions for a token (M-RoPE) keep the other positions and the token there; for all others it is 0.
std::size_t cell_extension(const llama_model* model);

}  // namespace chunkkv::engine
