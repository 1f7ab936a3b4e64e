#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv {

enum class CacheType : std::uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl };
/// "f16" ...; UsageError lists the names.
CacheType parse_cache_type(std::string_view name);
std::string_view to_string(CacheType type);

/// What a model's layers keep of the tokens that it reads.
struct CacheParts {
  /// The model's numbers of the layers that keep every token: these are compressed. Everywhere else such a
  /// layer's number is its place in this list.
  std::vector<std::int32_t> compressed;
  std::vector<std::int32_t> n_head_kv;  ///< of each of them
  std::int32_t n_window = 0;            ///< layers that keep a window, which stays as it is
  std::int32_t window = 0;              ///< tokens of it
  std::int32_t window_cells = 0;        ///< of those layers, for all sequences
  std::int32_t n_state = 0;             ///< layers that have a state, with or without rows of every token
  std::int32_t n_shared = 0;            ///< layers that read another layer's rows
  bool has_values = true;               ///< false: values are a part of the keys (latent attention)
  std::uint64_t fixed_bytes = 0;        ///< of windows and states, of all sequences
  bool is_whole() const { return n_window == 0 && n_state == 0 && n_shared == 0; }
};
/// "6 of 36 layers keep every token and are compressed; 30 keep a window of 1,024 tokens"; `n_layer`: of the
/// model. Empty when all layers keep every token for themselves.
std::string describe(const CacheParts& parts, std::int32_t n_layer);

/// State of the cache. Bytes are keys and values of the layers that keep every token, but for `bytes_fixed`.
struct CacheUse {
  std::int32_t cells_used = 0;    ///< of one sequence, or of all
  std::int32_t cells_shared = 0;  ///< of these, of one sequence: held by others, too
  std::int32_t cells_allocated = 0;
  std::uint64_t bytes_used = 0;
  std::uint64_t bytes_allocated = 0;
  std::uint64_t bytes_fixed = 0;  ///< of windows and states: allocated for all sequences, whatever they hold
};

}  // namespace chunkkv
