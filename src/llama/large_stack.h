#pragma once

#include <cstddef>
#include <functional>

namespace chunkkv::engine {

/// Runs `task` on a thread of its own whose stack has `n_bytes` (64 KiB of them guard its end), and waits for
/// it. Rethrows what the task throws. Memory is used only as far as the stack really grows, and is given
/// back. Error when there is no memory for the stack or the thread cannot be started.
void run_on_large_stack(std::size_t n_bytes, const std::function<void()>& task);

}  // namespace chunkkv::engine
