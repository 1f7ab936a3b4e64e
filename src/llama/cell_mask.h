#pragma once

#include "llama/handles.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace chunkkv::engine {

/// Hides cells from the attention of single layers. The engine's mask is the same for all layers that keep
/// every token, so it is changed between their attention operations.
class CellMask {
 public:
  /// Starts a decode in which flash attention must not see the cells `hidden`, by layer; empty: none.
  void begin(std::vector<std::vector<std::int32_t>> hidden) { hidden_ = std::move(hidden); }
  /// Starts a graph, which has a mask of its own.
  void begin_graph() { mask_.clear(); }
  bool hides() const { return !hidden_.empty(); }
  /// Overwrites the engine's mask with that of `layer`. Error when it is not a contiguous F16 tensor.
  void write(const ggml_tensor* mask, std::int32_t layer);

 private:
  std::vector<std::vector<std::int32_t>> hidden_;
  std::vector<ggml_fp16_t> mask_;  // this graph's mask as the engine made it; empty: not read yet
};

}  // namespace chunkkv::engine
