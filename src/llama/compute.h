#pragma once

#include "kernels/aligned_block.h"
#include "llama/handles.h"
#include "llama/thread_pool.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// Backends of our own, one per device that holds tensors of the engine, with a work buffer that is
/// reused from graph to graph. `pool` must outlive it.
class Compute {
 public:
  struct Device {
    BackendHandle backend;
    AllocatorHandle allocator;
    bool is_cpu = false;
  };

  explicit Compute(const ThreadPool& pool) : pool_(pool) {}

  /// The device that can read `tensor` in place.
  Device& device_of(const ggml_tensor* tensor);
  /// The most threads that compute a graph on the CPU.
  int n_threads() const { return pool_.n_threads(); }

  /// Memory of our kernels. One layer after the other reuses it: the first use of each page of new memory
  /// costs much.
  struct KernelMemory {
    std::vector<kernels::AlignedBlock> own;  ///< of each thread
    kernels::AlignedBlock units, packed;     ///< a layer's normalised keys, or their factors; packed keys
  };
  KernelMemory& kernel_memory() { return kernel_memory_; }
  void free_kernel_memory() { kernel_memory_ = {}; }

 private:
  const ThreadPool& pool_;
  KernelMemory kernel_memory_;
  std::map<ggml_backend_dev_t, Device> devices_;
};

/// A small graph that runs next to tensors of the engine.
///
/// Tensors of the engine enter as *aliases*: leaves with the same memory and no sources. Using them
/// directly would pull the whole model's graph in and run it again. A tensor that may lie on another device
/// is *read*: for instance the queries, where the GPU has no kernel and attention is computed on the CPU.
class Graph {
 public:
  Graph(Compute::Device& device, std::size_t max_tensors);

  ggml_context* ctx() const { return ctx_.get(); }
  bool on_cpu() const { return device_.is_cpu; }

  /// A leaf over the memory of `tensor`, `offset` bytes in, with a shape and strides of its own.
  ggml_tensor* alias(const ggml_tensor* tensor, ggml_type type, std::array<std::int64_t, 4> ne,
                     std::array<std::size_t, 4> nb, std::size_t offset = 0);

  /// An alias where `tensor` is on this graph's device, else a copy of its bytes that is made now. It must
  /// not be written to.
  ggml_tensor* read(const ggml_tensor* tensor, ggml_type type, std::array<std::int64_t, 4> ne,
                    std::array<std::size_t, 4> nb, std::size_t offset = 0);

  /// A leaf that `run` fills from host memory, which must live until then.
  ggml_tensor* input(ggml_type type, std::array<std::int64_t, 4> ne, const void* data);

  /// Computes `tensor` and, in `run`, copies its contiguous F32 or I32 contents to `destination`.
  void output(ggml_tensor* tensor, void* destination);
  /// Computes `tensor` in `run` for its effect on memory of the engine.
  void effect(ggml_tensor* tensor);

  void run();

 private:
  struct Input {
    ggml_tensor* tensor;
    const void* data;
  };
  struct Output {
    ggml_tensor* tensor;
    void* destination;
  };
  Compute::Device& device_;
  GgmlContext ctx_;
  ggml_cgraph* graph_ = nullptr;
  std::vector<Input> inputs_;
  std::vector<Output> outputs_;
  std::vector<std::vector<std::byte>> copies_;
};

}  // namespace chunkkv::engine
