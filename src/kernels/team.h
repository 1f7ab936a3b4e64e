#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

namespace chunkkv::kernels {

/// Threads that compute one operation together. Serves any number of operations, one after the other.
struct Team {
  std::atomic<std::uint64_t> meetings = 0;  ///< that are over
  std::atomic<int> arrived = 0;             ///< at the next one
  std::atomic<std::int64_t> next = 0;       ///< the first share of the work that nobody has taken
};

/// Waits until `n_threads` have come here; the work to share out then begins anew. Static: each source keeps
/// its own copy, so that none compiled for one processor is run on another.
static inline void barrier(Team& team, int n_threads) {
  const std::uint64_t meeting = team.meetings.load();
  if (team.arrived.fetch_add(1) + 1 == n_threads) {
    team.arrived.store(0);
    team.next.store(0);
    team.meetings.store(meeting + 1);
    return;
  }
  for (int spins = 0; team.meetings.load() == meeting; ++spins) {
    if (spins > 4096) sched_yield();
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
  }
}

}  // namespace chunkkv::kernels
