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
  /// Cells that flash attention must not see in this decode, by layer; empty: none.
  void begin(std::vector<std::vector<std::int32_t>> hidden) { hidden_ = std::move(hidden); }
  /// Another graph has another mask.
  void begin_graph() { mask_.clear(); }
  bool hides() const { return !hidden_.empty(); }
  /// Makes the engine's mask that of `layer`.
  void write(const ggml_tensor* mask, std::int32_t layer);

 private:
  std::vector<std::vector<std::int32_t>> hidden_;
  std::vector<ggml_fp16_t> mask_;  // as the engine made it
};

}  // namespace chunkkv::engine
