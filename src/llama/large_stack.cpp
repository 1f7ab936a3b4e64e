#include "llama/large_stack.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>

#include <exception>

namespace chunkkv::engine {
namespace {

/// Address space for a stack. kGuard bytes at its end must not be touched, so that an overflow is a fault.
class Stack {
 public:
  explicit Stack(std::size_t n_bytes) : n_bytes_(n_bytes) {
    memory_ = mmap(nullptr, n_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory_ != MAP_FAILED) mprotect(memory_, kGuard, PROT_NONE);
  }
  ~Stack() {
    if (is_there()) munmap(memory_, n_bytes_);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  bool is_there() const { return memory_ != MAP_FAILED; }
  void* memory() const { return memory_; }
  std::size_t n_bytes() const { return n_bytes_; }

 private:
  static constexpr std::size_t kGuard = 1 << 16;  // a multiple of every page size in use

  std::size_t n_bytes_;
  void* memory_;
};

struct Work {
  const std::function<void()>& task;
  std::exception_ptr failure = nullptr;
};

void* carry_out(void* argument) {
  Work& work = *static_cast<Work*>(argument);
  try {
    work.task();
  } catch (...) {
    work.failure = std::current_exception();
  }
  return nullptr;
}

}  // namespace

void run_on_large_stack(std::size_t n_bytes, const std::function<void()>& task) {
  constexpr std::size_t kStep = 1 << 16;
  const Stack stack((n_bytes + kStep - 1) / kStep * kStep);
  Work work{task};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t thread{};
  const bool started = stack.is_there() &&
                       pthread_attr_setstack(&attributes, stack.memory(), stack.n_bytes()) == 0 &&
                       pthread_create(&thread, &attributes, carry_out, &work) == 0;
  pthread_attr_destroy(&attributes);
  if (!started)
    throw Error(fmt::format("there is no memory for a stack of {} MiB; use a shorter text", n_bytes >> 20));
  pthread_join(thread, nullptr);
  if (work.failure) std::rethrow_exception(work.failure);
}

}  // namespace chunkkv::engine
