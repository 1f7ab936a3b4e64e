#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv {

enum class CacheType : std::uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl };
/// Parses a name such as "f16". UsageError, which lists the names, for any other text.
CacheType parse_cache_type(std::string_view name);
std::string_view to_string(CacheType type);

/// What a model's layers keep of the tokens that it reads.
struct CacheParts {
  /// The layers that keep every token and are compressed, by the model's numbers. Everywhere else such a
  /// layer's number is its place in this list.
  std::vector<std::int32_t> compressed;
  std::vector<std::int32_t> n_head_kv;  ///< KV heads of each compressed layer
  std::int32_t n_window = 0;            ///< layers that keep only a window; they are not compressed
  std::int32_t window = 0;              ///< tokens in a window
  std::int32_t window_cells = 0;        ///< cells of each such layer, for all sequences together
  std::int32_t n_state = 0;       ///< layers that have a recurrent state, with or without rows of every token
  std::int32_t n_shared = 0;      ///< layers that read another layer's rows
  bool has_values = true;         ///< false: values are a part of the keys (latent attention)
  std::uint64_t fixed_bytes = 0;  ///< bytes of windows and states, for all sequences together
  bool is_whole() const { return n_window == 0 && n_state == 0 && n_shared == 0; }
};
/// Describes the parts: "6 of 36 layers keep every token and are compressed; 30 keep a window of 1,024
/// tokens". `n_layer`: layers of the model. Empty when all layers keep every token in rows of their own.
std::string describe(const CacheParts& parts, std::int32_t n_layer);

/// How full the cache is. Bytes are keys and values of layers that keep every token, except `bytes_fixed`.
struct CacheUse {
  std::int32_t cells_used = 0;    ///< cells of one sequence, or of all
  std::int32_t cells_shared = 0;  ///< cells of one sequence that others hold too; 0 for a whole session
  std::int32_t cells_allocated = 0;
  std::uint64_t bytes_used = 0;
  std::uint64_t bytes_allocated = 0;
  std::uint64_t bytes_fixed = 0;  ///< windows and states: allocated for all sequences, whatever they hold
};

}  // namespace chunkkv
