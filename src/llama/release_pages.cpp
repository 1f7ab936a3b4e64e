#include "llama/release_pages.h"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#endif

namespace chunkkv::engine {

void release_pages([[maybe_unused]] std::byte* begin, [[maybe_unused]] std::size_t size) {
#ifdef __linux__
  const auto page = std::uintptr_t(sysconf(_SC_PAGESIZE));
  const auto first = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
  const auto last = reinterpret_cast<std::uintptr_t>(begin + size) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
#endif
}

}  // namespace chunkkv::engine
