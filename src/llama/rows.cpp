#include "llama/rows.h"

#include <cstring>

namespace chunkkv::engine {

void to_floats(ggml_type type, const std::byte* row, std::span<float> values) {
  if (type == GGML_TYPE_F32)
    std::memcpy(values.data(), row, values.size_bytes());
  else
    ggml_get_type_traits(type)->to_float(row, values.data(), std::int64_t(values.size()));
}

std::vector<float> row_of(const ggml_tensor* rows, std::int32_t cell) {
  std::vector<std::byte> bytes(ggml_row_size(rows->type, rows->ne[0]));
  ggml_backend_tensor_get(rows, bytes.data(), rows->nb[1] * std::size_t(cell), bytes.size());
  std::vector<float> values(std::size_t(rows->ne[0]));
  to_floats(rows->type, bytes.data(), values);
  return values;
}

}  // namespace chunkkv::engine
