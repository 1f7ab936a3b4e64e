#include "llama/compute.h"

#include <chunkkv/error.h>

namespace chunkkv::engine {
namespace {

ggml_backend_dev_t backend_device_of(const ggml_tensor* tensor) {
  ggml_backend_buffer_t buffer = tensor->view_src != nullptr ? tensor->view_src->buffer : tensor->buffer;
  // Pinned host memory has a GPU's buffer type, but the CPU computes on it.
  ggml_backend_dev_t device = ggml_backend_buffer_is_host(buffer)
                                  ? nullptr
                                  : ggml_backend_buft_get_device(ggml_backend_buffer_get_type(buffer));
  return device != nullptr ? device : ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
}

}  // namespace

Compute::Device& Compute::device_of(const ggml_tensor* tensor) {
  ggml_backend_dev_t device = backend_device_of(tensor);
  auto [it, is_new] = devices_.try_emplace(device);
  if (is_new) {
    Device& d = it->second;
    d.backend.reset(ggml_backend_dev_init(device, nullptr));
    if (!d.backend) throw Error(std::string("could not open device ") + ggml_backend_dev_name(device));
    d.is_cpu = ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
    if (d.is_cpu) pool_.attach(d.backend.get());
    d.allocator.reset(ggml_gallocr_new(ggml_backend_get_default_buffer_type(d.backend.get())));
  }
  return it->second;
}

Graph::Graph(Compute::Device& device, std::size_t max_tensors) : device_(device) {
  const ggml_init_params params{
      .mem_size = max_tensors * ggml_tensor_overhead() + ggml_graph_overhead_custom(max_tensors, false),
      .mem_buffer = nullptr,
      .no_alloc = true,
  };
  ctx_.reset(ggml_init(params));
  if (!ctx_) throw Error("out of memory");
  graph_ = ggml_new_graph_custom(ctx_.get(), max_tensors, false);
}

ggml_tensor* Graph::alias(const ggml_tensor* tensor, ggml_type type, std::array<std::int64_t, 4> ne,
                          std::array<std::size_t, 4> nb, std::size_t offset) {
  ggml_tensor* leaf = ggml_new_tensor(ctx_.get(), type, 4, ne.data());
  for (int i = 0; i < 4; ++i) leaf->nb[i] = nb[std::size_t(i)];
  leaf->data = static_cast<char*>(tensor->data) + offset;
  leaf->buffer = tensor->view_src != nullptr ? tensor->view_src->buffer : tensor->buffer;
  return leaf;
}

ggml_tensor* Graph::read(const ggml_tensor* tensor, ggml_type type, std::array<std::int64_t, 4> ne,
                         std::array<std::size_t, 4> nb, std::size_t offset) {
  if (backend_device_of(tensor) == ggml_backend_get_device(device_.backend.get()))
    return alias(tensor, type, ne, nb, offset);
  ggml_tensor* leaf = input(type, ne, nullptr);
  for (int i = 0; i < 4; ++i) leaf->nb[i] = nb[std::size_t(i)];
  std::vector<std::byte>& copy = copies_.emplace_back(ggml_nbytes(leaf));
  ggml_backend_tensor_get(tensor, copy.data(), offset, copy.size());
  inputs_.back().data = copy.data();
  return leaf;
}

ggml_tensor* Graph::input(ggml_type type, std::array<std::int64_t, 4> ne, const void* data) {
  ggml_tensor* leaf = ggml_new_tensor(ctx_.get(), type, 4, ne.data());
  ggml_set_input(leaf);
  inputs_.push_back({leaf, data});
  return leaf;
}

void Graph::output(ggml_tensor* tensor, void* destination) {
  ggml_set_output(tensor);
  ggml_build_forward_expand(graph_, tensor);
  outputs_.push_back({tensor, destination});
}

void Graph::effect(ggml_tensor* tensor) {
  ggml_build_forward_expand(graph_, tensor);
}

void Graph::run() {
  // Without a reservation the allocator would place tensors as in the graph before if their number and sizes
  // are equal. But that graph may have needed a tensor for a shorter time, and given its place to another.
  if (!ggml_gallocr_reserve(device_.allocator.get(), graph_) ||
      !ggml_gallocr_alloc_graph(device_.allocator.get(), graph_))
    throw Error("not enough memory to observe or move the cache; try a smaller -ub");
  for (const Input& input : inputs_)
    if (input.tensor->buffer != nullptr)  // unused inputs are not allocated
      ggml_backend_tensor_set(input.tensor, input.data, 0, ggml_nbytes(input.tensor));
  if (ggml_backend_graph_compute(device_.backend.get(), graph_) != GGML_STATUS_SUCCESS)
    throw Error("the device could not compute the statistics of the cache");
  for (const Output& output : outputs_)
    ggml_backend_tensor_get(output.tensor, output.destination, 0, ggml_nbytes(output.tensor));
}

}  // namespace chunkkv::engine
