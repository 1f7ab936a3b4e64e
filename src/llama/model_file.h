#pragma once

#include "base/hash.h"

#include <cstdint>
#include <string>
#include <vector>

namespace chunkkv::engine {

/// Files of the model at `path`, which may be split; `split_count` is the metadata of that name, as text.
std::vector<std::string> model_parts(const std::string& path, const std::string& split_count);

/// Adds a GGUF file to a hash: its size, metadata, tensor descriptions and samples of its weights. Returns
/// the size. Error when it cannot be read.
std::uint64_t add_model_file(Hash& hash, const std::string& path);

}  // namespace chunkkv::engine
