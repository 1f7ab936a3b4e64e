#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

struct llama_context;

namespace chunkkv::test {

/// The rows of one sequence, read the naive way: out of the engine's state blob, cell by cell.
struct CacheRows {
  using Row = std::vector<std::byte>;
  std::vector<std::int32_t> positions;  ///< the engine's, by ascending cell
  std::vector<std::vector<Row>> k, v;   ///< [layer][cell]
  int k_type = 0, v_type = 0;           ///< ggml_type

  bool operator==(const CacheRows&) const = default;

  /// The bytes of KV head `head` of `n_heads` in a row.
  static Row head(const Row& row, std::size_t head, std::size_t n_heads);
  /// A row as floats.
  static std::vector<float> floats(const Row& row, int type);
};

CacheRows read_cache(llama_context* context, std::int32_t sequence);

}  // namespace chunkkv::test
