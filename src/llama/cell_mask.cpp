#include "llama/cell_mask.h"

#include <chunkkv/error.h>

#include <limits>

namespace chunkkv::engine {

void CellMask::write(const ggml_tensor* mask, std::int32_t layer) {
  if (mask == nullptr || mask->type != GGML_TYPE_F16 || !ggml_is_contiguous(mask))
    throw Error("the cells of single layers cannot be hidden from this model's attention");
  const std::size_t n_kv = std::size_t(mask->ne[0]);
  if (mask_.empty()) {
    mask_.resize(std::size_t(ggml_nelements(mask)));
    ggml_backend_tensor_get(mask, mask_.data(), 0, ggml_nbytes(mask));
  }
  std::vector<ggml_fp16_t> values = mask_;
  const ggml_fp16_t unseen = ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
  for (const std::int32_t cell : hidden_.at(std::size_t(layer)))
    for (std::size_t row = 0; row < values.size(); row += n_kv)
      if (std::size_t(cell) < n_kv) values[row + std::size_t(cell)] = unseen;
  ggml_backend_tensor_set(const_cast<ggml_tensor*>(mask), values.data(), 0, ggml_nbytes(mask));
}

}  // namespace chunkkv::engine
