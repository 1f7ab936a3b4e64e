#pragma once

#include <string>

struct llama_model;

namespace chunkkv::engine {

/// Why the cache of `model` cannot be compressed, as a sentence that names the reason; empty when it can.
std::string why_unsupported(const llama_model* model);

}  // namespace chunkkv::engine
