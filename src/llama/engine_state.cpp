#include "llama/engine_state.h"

#include <chunkkv/error.h>

#include "llama/cache_rows.h"
#include "llama/cache_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace chunkkv::engine {
namespace {

void require_state(bool condition, const char* reason) {
  if (!condition) throw Error(fmt::format("the saved cache is damaged, or of another model: {}", reason));
}

class StateReader {
 public:
  explicit StateReader(std::span<const std::byte> state) : left_(state) {}

  std::span<const std::byte> take(std::uint64_t count, std::uint64_t bytes_each) {
    require_state(count == 0 || bytes_each <= left_.size() / count, "it ends too early");
    const auto piece = left_.first(std::size_t(count * bytes_each));
    left_ = left_.subspan(piece.size());
    return piece;
  }
  template <class T>
  T take() {
    T value;
    std::memcpy(&value, take(1, sizeof value).data(), sizeof value);
    return value;
  }
  std::span<const std::byte> left() const { return left_; }

 private:
  std::span<const std::byte> left_;
};

ggml_type take_type(StateReader& state, const ggml_tensor* rows, StateTypes types) {
  const auto type = state.take<std::int32_t>();
  if (types == StateTypes::same_as_cache)
    require_state(type == rows->type, "its keys or values have other types (-ctk, -ctv)");
  else
    require_state(std::find(kCacheTypes.begin(), kCacheTypes.end(), type) != kCacheTypes.end() &&
                      rows->ne[0] % ggml_blck_size(ggml_type(type)) == 0,
                  "its keys or values have a type that no cache has");
  return ggml_type(type);
}

/// Reads a tensor with one row for each cell: type of the rows, size of a row, the rows.
StatePieces::Rows take_rows(StateReader& state, const ggml_tensor* rows, std::uint32_t n_cells,
                            StateTypes types) {
  const ggml_type type = take_type(state, rows, types);
  const std::size_t size = ggml_row_size(type, rows->ne[0]);
  require_state(state.take<std::uint64_t>() == size, "its rows have another size");
  return {type, state.take(n_cells, size)};
}

/// Reads values of a cache without flash attention, which have one row for each dimension.
StatePieces::Rows take_columns(StateReader& state, const ggml_tensor* rows, std::uint32_t n_cells,
                               StateTypes types) {
  const ggml_type type = take_type(state, rows, types);
  const std::uint64_t size = ggml_type_size(type);
  require_state(state.take<std::uint32_t>() == size, "its values have another size");
  const auto n_rows = state.take<std::uint32_t>();
  require_state(std::int64_t(n_rows) == rows->ne[0], "its values have another size");
  return {type, state.take(n_rows, size * n_cells)};
}

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

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

/// Appends rows, converted to `type`, as the engine writes them: type, size of a row, the rows. `n`: numbers
/// of a row.
void append_rows(std::vector<std::byte>& to, const StatePieces::Rows& rows, std::int64_t n,
                 std::int64_t n_head_kv, ggml_type type, Rotation rotation) {
  const auto number = std::int32_t(type);
  const std::uint64_t size = ggml_row_size(type, n);
  append(to, std::as_bytes(std::span(&number, 1)));
  append(to, std::as_bytes(std::span(&size, 1)));
  if (rows.type == type) {
    append(to, rows.bytes);
    return;
  }
  const std::int64_t undo = rotation_size(rows.type, n / n_head_kv, rotation);
  const std::int64_t redo = rotation_size(type, n / n_head_kv, rotation);
  std::vector<float> values(static_cast<std::size_t>(n));
  std::vector<std::byte> converted(size);
  const std::size_t old_size = ggml_row_size(rows.type, n);
  for (std::size_t at = 0; at < rows.bytes.size(); at += old_size) {
    to_floats(rows.type, rows.bytes.data() + at, values);
    if (undo != redo) {
      if (undo > 0) rotate(values, undo);
      if (redo > 0) rotate(values, redo);
    }
    from_floats(type, values, converted.data());
    append(to, converted);
  }
}

}  // namespace

StatePieces check_state(std::span<const std::byte> whole, const StateFormat& format,
                        std::span<const Position> positions, StateTypes types) {
  StateReader state(whole);
  state.take<std::uint32_t>();  // a magic number, which the engine checks
  state.take<std::int32_t>();   // number of the sequence that was saved
  require_state(state.take<std::uint32_t>() == 1, "it has several streams of cells");
  const auto n_cells = state.take<std::uint32_t>();
  require_state(n_cells == positions.size(), "it has another number of cells than entries");
  for (const Position position : positions) {
    require_state(state.take<std::int32_t>() == position, "a cell has another position than its entry");
    require_state(state.take<std::uint32_t>() == 1, "it shares cells between sequences");
    state.take(1, format.extension);
    state.take<std::int32_t>();  // the sequence's number again
  }
  const bool has_values = format.layers.front().v != nullptr,
             v_transposed = format.layers.front().v_transposed;
  const auto is_transposed = state.take<std::uint32_t>();
  require_state(!has_values || is_transposed == std::uint32_t(v_transposed),
                "one was made with flash attention (-fa) and the other without");
  require_state(state.take<std::uint32_t>() == format.layers.size(), "it has another number of layers");
  StatePieces pieces;
  pieces.frame = whole.first(whole.size() - state.left().size());
  for (const CacheLayer& layer : format.layers)
    pieces.keys.push_back(take_rows(state, layer.k, n_cells, types));
  for (const CacheLayer& layer : format.layers)
    pieces.values.push_back(layer.v == nullptr ? StatePieces::Rows{}
                            : v_transposed     ? take_columns(state, layer.v, n_cells, types)
                                               : take_rows(state, layer.v, n_cells, types));
  pieces.rest = state.left();
  require_state(format.states_follow || pieces.rest.empty(), "it is longer than it should be");
  return pieces;
}

std::vector<std::byte> convert_state(const StatePieces& state, const std::vector<CacheLayer>& layers,
                                     ggml_type type_k, ggml_type type_v) {
  std::vector<std::byte> result(state.frame.begin(), state.frame.end());
  for (std::size_t i = 0; i < layers.size(); ++i)
    append_rows(result, state.keys[i], layers[i].k->ne[0], layers[i].n_head_kv, type_k,
                layers[i].v != nullptr ? Rotation::as_keys : Rotation::never);
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (layers[i].v != nullptr)
      append_rows(result, state.values[i], layers[i].v->ne[0], layers[i].n_head_kv, type_v,
                  Rotation::as_values);
  append(result, state.rest);
  return result;
}

}  // namespace chunkkv::engine
