#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace chunkkv::kernels {

/// Quantised weights as the small whole numbers that they are stored as: weight = scale * number - least,
/// with one scale and least for every `part` of depth.
struct ByteQuants {
  std::int64_t depth = 0;  ///< of a block, at most kMostQuantDepth
  std::size_t bytes = 0;   ///< of a block of one row
  int part = 0;            ///< 32 or 16
  /// So many products of two neighbouring numbers with 8-bit numbers add up in 16 bits: 8, 4 or 2.
  int chain = 0;
  bool interleaved = false;  ///< blocks of 8 rows together, else plain rows
  /// 8 rows' blocks, `row` bytes apart where they are plain: numbers [8][kMostQuantDepth], scales and leasts
  /// [parts][8].
  void (*read)(const char* block, std::size_t row, std::uint8_t* numbers, float* scales,
               float* leasts) = nullptr;
};

constexpr std::int64_t kMostQuantDepth = 256;

/// Those of a type, in plain or interleaved layout; null where there are none, or no processor with AVX2 is
/// compiled for. Types by the engine's names: "q4_K".
const ByteQuants* byte_quants(std::string_view type, bool interleaved);

// Compiled for AVX2.
extern const ByteQuants kQuantsQ40, kQuantsQ41, kQuantsQ50, kQuantsQ51, kQuantsQ4K, kQuantsQ5K, kQuantsQ6K,
    kQuantsQ40Interleaved, kQuantsQ4KInterleaved;

}  // namespace chunkkv::kernels
