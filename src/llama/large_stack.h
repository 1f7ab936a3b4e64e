#pragma once

#include <cstddef>
#include <functional>

namespace chunkkv::engine {

/// Runs `task` on a thread of its own whose stack has `n_bytes`, and waits for it. What the task throws is
/// thrown here. Memory is used only as far as the stack really grows, and is given back. Error when there is
/// no such thread.
void run_on_large_stack(std::size_t n_bytes, const std::function<void()>& task);

}  // namespace chunkkv::engine
