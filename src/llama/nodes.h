#pragma once

#include <chunkkv/error.h>

#include "llama/handles.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

// What our kernels ask of nodes of the engine's graph, and how they take their place.
namespace chunkkv::engine {

/// Whether a tensor's data lies where our kernels can read and write it. False before it is allocated.
inline bool in_host_memory(const ggml_tensor* t) {
  const ggml_backend_buffer_t buffer = t->view_src != nullptr ? t->view_src->buffer : t->buffer;
  return buffer != nullptr && ggml_backend_buffer_is_host(buffer);
}

/// Parameter `index` of an operation, which must be a float.
inline float op_float(const std::int32_t* parameters, int index) {
  float value = 0;
  std::memcpy(&value, parameters + index, sizeof value);
  return value;
}
inline float op_float(const ggml_tensor* node, int index) {
  return op_float(node->op_params, index);
}

/// An operation and its parameters, apart from a node.
struct Operation {
  ggml_op op = GGML_OP_NONE;
  std::array<std::int32_t, GGML_MAX_OP_PARAMS / sizeof(std::int32_t)> parameters = {};

  static Operation of(const ggml_tensor* node) {
    Operation operation{.op = node->op};
    std::memcpy(operation.parameters.data(), node->op_params, sizeof operation.parameters);
    return operation;
  }
  /// One that runs `function` on all threads.
  static Operation custom(ggml_custom_op_t function, void* data) {
    const GgmlContext context(
        ggml_init({.mem_size = 4 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}));
    if (!context) throw Error("out of memory");
    ggml_tensor* any = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, 1);
    return of(
        ggml_custom_4d(context.get(), GGML_TYPE_F32, 1, 1, 1, 1, &any, 1, function, GGML_N_TASKS_MAX, data));
  }
  void put_into(ggml_tensor* node) const {
    node->op = op;
    std::memcpy(node->op_params, parameters.data(), sizeof parameters);
  }
  bool operator==(const Operation&) const = default;
};

/// A node that has another operation than the engine's, until it is put back.
class TakenNode {
 public:
  TakenNode() = default;
  TakenNode(ggml_tensor* node, const Operation& ours)
      : node_(node), engines_(Operation::of(node)), ours_(ours) {
    ours.put_into(node);
  }
  /// Gives the node another operation of ours, if it still has the one that it was given.
  void change(const Operation& ours) {
    if (!is_ours()) return;
    ours_ = ours;
    ours.put_into(node_);
  }
  const ggml_tensor* node() const { return node_; }
  const Operation& engines() const { return engines_; }
  /// Gives the node the engine's operation again, once. Where the engine has built another graph in the same
  /// memory since, its nodes stay as they are.
  void put_back() {
    if (is_ours()) engines_.put_into(node_);
    node_ = nullptr;
  }

 private:
  bool is_ours() const { return node_ != nullptr && Operation::of(node_) == ours_; }

  ggml_tensor* node_ = nullptr;
  Operation engines_, ours_;
};

}  // namespace chunkkv::engine
