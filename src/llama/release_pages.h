#pragma once

#include <cstddef>

namespace chunkkv::engine {

/// Gives the whole pages inside [begin, begin + size) back to the operating system; they read as zero
/// afterwards and cost memory again only when written. Only for private memory. Does nothing on systems
/// other than Linux.
void release_pages(std::byte* begin, std::size_t size);

}  // namespace chunkkv::engine
