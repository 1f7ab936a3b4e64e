#pragma once

#include "base/hash.h"

#include <cstdint>
#include <string>

namespace chunkkv {

/// Adds a large file to a hash in bounded time: its size, its first `n_head` bytes, and 256 evenly spaced
/// samples of 64 KiB of the rest, or the whole rest where it is no larger. Returns the size. Error when the
/// file cannot be read.
std::uint64_t add_sampled_file(Hash& hash, const std::string& path, std::uint64_t n_head);

}  // namespace chunkkv
