#include "llama/state_conversion.h"

#include <chunkkv/error.h>

#include "llama/rows.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

namespace chunkkv::engine {
namespace {

/// Reads a state piece by piece and writes another one.
class Copier {
 public:
  explicit Copier(std::span<const std::byte> from) : from_(from) {}

  std::span<const std::byte> take(std::size_t n) {
    if (n > from_.size()) throw Error("the saved cache ends too early; it is damaged");
    const auto piece = from_.first(n);
    from_ = from_.subspan(n);
    return piece;
  }
  template <class T>
  T take() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  void put_bytes(std::span<const std::byte> bytes) { to_.insert(to_.end(), bytes.begin(), bytes.end()); }
  template <class T>
  void put(const T& value) {
    put_bytes(std::as_bytes(std::span(&value, 1)));
  }
  template <class T>
  T copy() {
    const T value = take<T>();
    put(value);
    return value;
  }
  void put_rest() { put_bytes(take(from_.size())); }
  bool at_end() const { return from_.empty(); }
  std::vector<std::byte> result() { return std::move(to_); }

 private:
  std::span<const std::byte> from_;
  std::vector<std::byte> to_;
};

/// By which rule the engine rotates the rows of a quantised cache. Never where values are part of the keys.
enum class Rotation : std::uint8_t { never, as_keys, as_values };

/// Size of the Walsh-Hadamard matrix by which the engine multiplies rows of this type; 0: it does not. For
/// keys it is the largest power of two that divides the head size, for values 64.
std::int64_t rotation_size(ggml_type type, std::int64_t head_dim, Rotation rotation) {
  const char* off = std::getenv("LLAMA_ATTN_ROT_DISABLE");  // the engine's own variable
  if (rotation == Rotation::never) return 0;
  if (!ggml_is_quantized(type) || head_dim % 64 != 0 || (off != nullptr && std::atoi(off) != 0)) return 0;
  std::int64_t size = 64;
  while (rotation == Rotation::as_keys && head_dim % (2 * size) == 0) size *= 2;
  return size;
}

/// Multiplies each `size` numbers by the orthonormal Walsh-Hadamard matrix, which is its own inverse.
void rotate(std::span<float> row, std::int64_t size) {
  const float scale = 1.0f / std::sqrt(float(size));
  for (std::size_t at = 0; at < row.size(); at += std::size_t(size)) {
    float* x = row.data() + at;
    for (std::int64_t half = 1; half < size; half *= 2)
      for (std::int64_t i = 0; i < size; i += 2 * half)
        for (std::int64_t j = i; j < i + half; ++j) {
          const float a = x[j], b = x[j + half];
          x[j] = a + b;
          x[j + half] = a - b;
        }
    for (std::int64_t i = 0; i < size; ++i) x[i] *= scale;
  }
}

void from_floats(ggml_type type, std::span<const float> values, std::byte* row) {
  const auto n = std::int64_t(values.size());
  if (type == GGML_TYPE_F32)
    std::memcpy(row, values.data(), values.size_bytes());
  else if (type == GGML_TYPE_F16)
    ggml_fp32_to_fp16_row(values.data(), reinterpret_cast<ggml_fp16_t*>(row), n);
  else if (type == GGML_TYPE_BF16)
    ggml_fp32_to_bf16_row(values.data(), reinterpret_cast<ggml_bf16_t*>(row), n);
  else
    ggml_quantize_chunk(type, values.data(), row, 0, 1, n, nullptr);
}

/// Converts the rows of one tensor, stored as the rows' type, the size of a row, and one row for each cell.
void convert_rows(Copier& state, const ggml_tensor* rows, std::int64_t n_head_kv, std::uint32_t n_cells,
                  ggml_type type, Rotation rotation) {
  const auto from = ggml_type(state.take<std::int32_t>());
  const std::int64_t n = rows->ne[0];
  const auto size = state.take<std::uint64_t>();
  if (from < 0 || from >= GGML_TYPE_COUNT || ggml_get_type_traits(from)->type_size == 0 ||
      size != ggml_row_size(from, n))
    throw Error("the saved cache is of another model, or damaged");
  state.put(std::int32_t(type));
  state.put(std::uint64_t(ggml_row_size(type, n)));
  const std::int64_t undo = rotation_size(from, n / n_head_kv, rotation);
  const std::int64_t redo = rotation_size(type, n / n_head_kv, rotation);
  std::vector<float> values(static_cast<std::size_t>(n));
  std::vector<std::byte> converted(ggml_row_size(type, n));
  for (std::uint32_t cell = 0; cell < n_cells; ++cell) {
    const auto row = state.take(size);
    if (from == type) {
      state.put_bytes(row);
      continue;
    }
    to_floats(from, row.data(), values);
    if (undo != redo) {
      if (undo > 0) rotate(values, undo);
      if (redo > 0) rotate(values, redo);
    }
    from_floats(type, values, converted.data());
    state.put_bytes(converted);
  }
}

}  // namespace

std::vector<std::byte> convert_state(std::span<const std::byte> whole,
                                     const std::map<std::int32_t, CacheLayer>& layers, ggml_type type_k,
                                     ggml_type type_v, std::size_t extension, bool states_follow) {
  Copier state(whole);
  state.copy<std::uint32_t>();  // a magic number, which the engine checks
  state.copy<std::int32_t>();   // number of the sequence
  if (state.copy<std::uint32_t>() != 1) throw Error("the saved cache has several streams of cells");
  const auto n_cells = state.copy<std::uint32_t>();
  for (std::uint32_t cell = 0; cell < n_cells; ++cell) {
    state.copy<std::int32_t>();  // position
    if (state.copy<std::uint32_t>() != 1) throw Error("the saved cache shares cells between sequences");
    state.put_bytes(state.take(extension));
    state.copy<std::int32_t>();  // the sequence's number again
  }
  const auto v_transposed = state.copy<std::uint32_t>();
  const auto n_layer = state.copy<std::uint32_t>();
  const bool has_values = !layers.empty() && layers.begin()->second.v != nullptr;
  if ((has_values && v_transposed != 0) || n_layer != layers.size())
    throw Error("the saved cache is of another model, or of a cache without flash attention");
  for (const auto& [number, layer] : layers)
    convert_rows(state, layer.k, layer.n_head_kv, n_cells, type_k,
                 layer.v != nullptr ? Rotation::as_keys : Rotation::never);
  for (const auto& [number, layer] : layers)
    if (layer.v != nullptr)
      convert_rows(state, layer.v, layer.n_head_kv, n_cells, type_v, Rotation::as_values);
  if (states_follow) state.put_rest();
  if (!state.at_end()) throw Error("the saved cache is longer than it should be; it is damaged");
  return state.result();
}

}  // namespace chunkkv::engine
