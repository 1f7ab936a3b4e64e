#pragma once

#include "llama/handles.h"

namespace chunkkv::engine {

/// One pool of ggml threads for everything that runs on the CPU: the engine and our own graphs. Two
/// pools on the same cores wait for each other with spinning threads and are several times slower.
class ThreadPool {
 public:
  /// `n_threads` <= 0: all cores.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return n_threads_; }
  void attach(llama_context* context) const;
  /// Only for CPU backends.
  void attach(ggml_backend_t backend) const;

 private:
  int n_threads_ = 0;
  ggml_threadpool_t pool_ = nullptr;
};

}  // namespace chunkkv::engine
