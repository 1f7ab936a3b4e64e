#include "llama/state_check.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace chunkkv::engine {
namespace {

constexpr std::array kCacheTypes = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16,
                                    GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,
                                    GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_IQ4_NL};

class StateReader {
 public:
  explicit StateReader(std::span<const std::byte> state) : left_(state) {}

  template <class T>
  T take() {
    T value;
    require(left_.size() >= sizeof value, "it ends too early");
    std::memcpy(&value, left_.data(), sizeof value);
    left_ = left_.subspan(sizeof value);
    return value;
  }
  void skip(std::uint64_t count, std::uint64_t bytes_each) {
    require(count == 0 || bytes_each <= left_.size() / count, "it ends too early");
    left_ = left_.subspan(std::size_t(count * bytes_each));
  }
  bool at_end() const { return left_.empty(); }

  static void require(bool condition, const char* reason) {
    if (!condition) throw Error(fmt::format("the saved cache is damaged, or of another model: {}", reason));
  }

 private:
  std::span<const std::byte> left_;
};

constexpr auto kRequire = StateReader::require;

void check_type(std::int32_t type, const ggml_tensor* rows, StateTypes types) {
  if (types == StateTypes::same_as_cache)
    kRequire(type == rows->type, "its keys or values have other types (-ctk, -ctv)");
  else
    kRequire(std::find(kCacheTypes.begin(), kCacheTypes.end(), type) != kCacheTypes.end() &&
                 rows->ne[0] % ggml_blck_size(ggml_type(type)) == 0,
             "its keys or values have a type that no cache has");
}

/// Checks a tensor with one row for each cell: type of the rows, size of a row, the rows.
void check_rows(StateReader& state, const ggml_tensor* rows, std::uint32_t n_cells, StateTypes types) {
  const auto type = state.take<std::int32_t>();
  check_type(type, rows, types);
  kRequire(state.take<std::uint64_t>() == ggml_row_size(ggml_type(type), rows->ne[0]),
           "its rows have another size");
  state.skip(n_cells, ggml_row_size(ggml_type(type), rows->ne[0]));
}

/// Checks values of a cache without flash attention, which have one row for each dimension.
void check_columns(StateReader& state, const ggml_tensor* rows, std::uint32_t n_cells, StateTypes types) {
  const auto type = state.take<std::int32_t>();
  check_type(type, rows, types);
  const std::uint64_t size = ggml_type_size(ggml_type(type));
  kRequire(state.take<std::uint32_t>() == size, "its values have another size");
  const auto n_rows = state.take<std::uint32_t>();
  kRequire(std::int64_t(n_rows) == rows->ne[0], "its values have another size");
  state.skip(n_rows, size * n_cells);
}

}  // namespace

void check_state(std::span<const std::byte> whole, const std::map<std::int32_t, CacheLayer>& layers,
                 std::span<const Position> positions, StateTypes types, std::size_t extension,
                 bool states_follow) {
  StateReader state(whole);
  state.take<std::uint32_t>();  // a magic number, which the engine checks
  state.take<std::int32_t>();   // number of the sequence that was saved
  kRequire(state.take<std::uint32_t>() == 1, "it has several streams of cells");
  const auto n_cells = state.take<std::uint32_t>();
  kRequire(n_cells == positions.size(), "it has another number of cells than entries");
  for (const Position position : positions) {
    kRequire(state.take<std::int32_t>() == position, "a cell has another position than its entry");
    kRequire(state.take<std::uint32_t>() == 1, "it shares cells between sequences");
    state.skip(1, extension);
    state.take<std::int32_t>();  // the sequence's number again
  }
  const bool has_values = layers.empty() || layers.begin()->second.v != nullptr;
  const bool v_transposed = !layers.empty() && layers.begin()->second.v_transposed;
  const auto is_transposed = state.take<std::uint32_t>();
  kRequire(!has_values || is_transposed == std::uint32_t(v_transposed),
           "one was made with flash attention (-fa) and the other without");
  kRequire(state.take<std::uint32_t>() == layers.size(), "it has another number of layers");
  for (const auto& [number, layer] : layers) check_rows(state, layer.k, n_cells, types);
  for (const auto& [number, layer] : layers) {
    if (layer.v == nullptr) continue;
    v_transposed ? check_columns(state, layer.v, n_cells, types) : check_rows(state, layer.v, n_cells, types);
  }
  kRequire(states_follow || state.at_end(), "it is longer than it should be");
}

}  // namespace chunkkv::engine
