#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

namespace chunkkv::kernels {

/// The common state of threads that compute operations together, any number of them in turn.
struct Team {
  std::atomic<std::uint64_t> barriers_passed = 0;  ///< how many barriers all threads have passed
  std::atomic<int> arrived = 0;                    ///< how many threads wait at the next barrier
  std::atomic<std::int64_t> next = 0;              ///< the first share of the work that nobody has taken
};

/// Waits until `n_threads` threads have called this; `next` is 0 again when it returns. Static: each source
/// keeps its own copy, so that none compiled for one processor is run on another.
static inline void barrier(Team& team, int n_threads) {
  const std::uint64_t passed = team.barriers_passed.load();
  if (team.arrived.fetch_add(1) + 1 == n_threads) {
    team.arrived.store(0);
    team.next.store(0);
    team.barriers_passed.store(passed + 1);
    return;
  }
  for (int spins = 0; team.barriers_passed.load() == passed; ++spins) {
    if (spins > 4096) sched_yield();
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
  }
}

}  // namespace chunkkv::kernels
