#include "llama/thread_pool.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace chunkkv::engine {
namespace {

// The CPU backend may be a plug-in of an installed engine, so its functions are looked up by name.
template <class Function>
Function cpu_function(const char* name) {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (device == nullptr) throw Error("the engine has no CPU backend");
  auto* address = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name);
  if (address == nullptr) throw Error(std::string("the engine's CPU backend lacks ") + name);
  return reinterpret_cast<Function>(address);
}

}  // namespace

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(n_threads > 0 ? n_threads : std::max(1, int(std::thread::hardware_concurrency()))) {
  n_threads_ = std::min(n_threads_, GGML_MAX_N_THREADS);
  ggml_threadpool_params params = ggml_threadpool_params_default(n_threads_);
  pool_ = cpu_function<ggml_threadpool_t (*)(ggml_threadpool_params*)>("ggml_threadpool_new")(&params);
  if (pool_ == nullptr) throw Error(fmt::format("could not start {} threads; try -t with fewer", n_threads_));
}

ThreadPool::~ThreadPool() {
  cpu_function<void (*)(ggml_threadpool_t)>("ggml_threadpool_free")(pool_);
}

void ThreadPool::attach(llama_context* context) const {
  llama_attach_threadpool(context, pool_, pool_);
}

void ThreadPool::attach(ggml_backend_t backend) const {
  cpu_function<ggml_backend_set_n_threads_t>("ggml_backend_set_n_threads")(backend, n_threads_);
  cpu_function<void (*)(ggml_backend_t, ggml_threadpool_t)>("ggml_backend_cpu_set_threadpool")(backend,
                                                                                               pool_);
}

}  // namespace chunkkv::engine
