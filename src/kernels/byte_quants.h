#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace chunkkv::kernels {

/// How weights are read as the small whole numbers that they are stored as: weight = scale * number - min,
/// with one scale and one min for every `part` depths, or weight = scale * (number - offset).
struct ByteQuants {
  std::int64_t depth = 0;  ///< depths in a block, at most kMostQuantDepth
  std::size_t bytes = 0;   ///< size of a block of one row
  int part = 0;            ///< 32 or 16
  /// How many sums of two products with 8-bit numbers can be added up in 16 bits without overflow: 8, 4, 2
  /// or, for kernels that add up in 32 bits, 0.
  int chain = 0;
  int offset = 0;            ///< 0: there are mins
  bool interleaved = false;  ///< a block has 8 rows; else each row has blocks of its own
  /// Where the numbers of 8 rows go: [depth / 4][8][4], with `quad_bytes` from four depths to the next; and
  /// their scales and, where there are any, mins: [parts][8], with `part_step` floats from part to part.
  struct Target {
    char* numbers = nullptr;
    std::size_t quad_bytes = 0;
    float *scales = nullptr, *mins = nullptr;
    std::size_t part_step = 0;
  };
  /// Reads one block of each of 8 rows, which are `row` bytes apart if they are plain.
  void (*read)(const char* block, std::size_t row, const Target& to) = nullptr;
};

constexpr std::int64_t kMostQuantDepth = 256;
constexpr std::int64_t kQuantRows = 8;

/// How weights of a type are read, in plain or interleaved layout; null if they are not, or if the library is
/// built without AVX2. Types have the engine's names, such as "q4_K".
const ByteQuants* byte_quants(std::string_view type, bool interleaved);

// These are in sources that are compiled for AVX2.
extern const ByteQuants kQuantsQ40, kQuantsQ41, kQuantsQ50, kQuantsQ51, kQuantsQ80, kQuantsQ2K, kQuantsQ3K,
    kQuantsQ4K, kQuantsQ5K, kQuantsQ6K, kQuantsIq4Nl, kQuantsIq4Xs, kQuantsMxfp4;
extern const ByteQuants kQuantsQ40Interleaved, kQuantsQ2KInterleaved, kQuantsQ4KInterleaved,
    kQuantsIq4NlInterleaved, kQuantsMxfp4Interleaved;

}  // namespace chunkkv::kernels
