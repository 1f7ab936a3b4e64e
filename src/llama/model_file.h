#pragma once

#include "base/hash.h"

#include <cstdint>
#include <string>
#include <vector>

namespace chunkkv::engine {

/// The files of the model at `path`: several if it is split. `split_count`: its metadata "split.count".
std::vector<std::string> model_parts(const std::string& path, const std::string& split_count);

/// Adds a GGUF file to a hash: its size, metadata, tensor descriptions and samples of its weights. Returns
/// the size. Error when it cannot be read.
std::uint64_t add_model_file(Hash& hash, const std::string& path);

}  // namespace chunkkv::engine
