#pragma once

#include "kernels/amx_tiles.h"
#include "kernels/bf16.h"
#include "kernels/product.h"

#ifdef __AVX512F__
#include "kernels/transpose_avx512.h"
#endif

// The product in BF16 on tiles. Weights are rounded into tiles in the processor's format: each row has a pair
// of depths for 16 outputs. A tile of sums is 16 tokens by 16 outputs. `T`: Tiles, or EmulatedTiles for
// tests. Without external linkage, as in amx_tiles.h.
namespace chunkkv::kernels {
namespace {

constexpr std::int64_t kTileRows = 16;
constexpr std::int64_t kTileDepth = 32;
constexpr std::int64_t kTileBytes = 1024;
constexpr std::int64_t kPanelTiles = kProductOutputs / kTileRows;
constexpr std::int64_t kStepTokens = 2 * kTileRows;  // two by two tiles of sums use all tile registers
constexpr std::int64_t kPanelDepth = 1536;  // whole blocks of every type; a panel of this depth stays in L2

constexpr std::int64_t min_of(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

using WholeNumbers = std::int32_t __attribute__((vector_size(64)));

struct AmxOwnOffsets {
  std::size_t panel, numbers, sums, bytes;
  AmxOwnOffsets()
      : panel(0),
        numbers(std::size_t(kPanelDepth * kProductOutputs) * 2),
        sums(numbers + std::size_t(kPanelDepth * kTileRows) * 4),
        bytes(sums + std::size_t(kStepTokens * kProductOutputs) * 4) {}
};

std::int64_t token_tiles(const ProductTask& task) {
  return (task.n_tokens + kStepTokens - 1) / kStepTokens * 2;
}

std::size_t amx_shared_bytes(const ProductTask& task) {
  return std::size_t(token_tiles(task) * (task.weights.depth / kTileDepth) * kTileBytes);
}

std::size_t amx_thread_bytes(const ProductTask&) {
  return AmxOwnOffsets().bytes;
}

inline void store(char* to, const Words& words) {
  __builtin_memcpy(to, &words, sizeof words);
}

/// Rounds 32 numbers to BF16.
inline __attribute__((always_inline)) Words bf16_numbers(const float* from) {
  Floats first, second;
  __builtin_memcpy(&first, from, sizeof first);
  __builtin_memcpy(&second, from + 16, sizeof second);
#ifdef __AVX512BF16__
  return (Words)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
#else
  const Words a = rounded_to_bf16(first), b = rounded_to_bf16(second);
  Words result = {};
  for (int i = 0; i < 8; ++i) {
    result[i] = a[2 * i] | a[2 * i + 1] << 16;
    result[8 + i] = b[2 * i] | b[2 * i + 1] << 16;
  }
  return result;
#endif
}

/// Transposes 16 x 16 words.
inline void transpose_words(Words (&r)[16]) {
#ifdef __AVX512F__
  __m512i rows[16];
  for (int i = 0; i < 16; ++i) rows[i] = (__m512i)r[i];
  transpose(rows);
  for (int i = 0; i < 16; ++i) r[i] = (Words)rows[i];
#else
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < i; ++j) {
      const std::uint32_t word = r[i][j];
      r[i][j] = r[j][i];
      r[j][i] = word;
    }
#endif
}

/// Packs 16 tokens into tiles, one for each 32 of depth, with zeros for tokens beyond the last.
void take_tokens(const ProductTask& task, std::int64_t tile, char* to) {
  for (std::int64_t r = 0; r < kTileRows; ++r) {
    const std::int64_t token = tile * kTileRows + r;
    const float* from = (const float*)(task.x + task.x_row * std::size_t(token));
    for (std::int64_t k = 0; k < task.weights.depth; k += kTileDepth)
      store(to + k / kTileDepth * kTileBytes + 64 * r,
            token < task.n_tokens ? bf16_numbers(from + k) : Words{});
  }
}

/// Where the depth `d` of a panel and its neighbour are packed, for the tile of 16 outputs `to`.
inline char* pair_at(char* to, std::int64_t d) {
  return to + d / kTileDepth * kPanelTiles * kTileBytes + d % kTileDepth / 2 * 64;
}

/// Packs the depths k .. k + n of 16 outputs, which are read as small whole numbers, into their tiles of a
/// panel [depth / 32][4 tiles].
void take_quants(const Weights& weights, std::int64_t first, std::int64_t k, std::int64_t n, char* to) {
  constexpr std::int64_t row = kTileRows;
  alignas(64) char numbers[kMostQuantDepth * row];
  alignas(64) float scales[kMostQuantDepth / 16 * row], mins[kMostQuantDepth / 16 * row];
  const ByteQuants& quants = *weights.quants;
  for (std::int64_t i = 0; i < n; i += quants.depth) {
    for (std::int64_t r = 0; r < row; r += kQuantRows)
      read_quants(weights, first + r, k + i,
                  {.numbers = numbers + 4 * r,
                   .quad_bytes = 4 * row,
                   .scales = scales + r,
                   .mins = mins + r,
                   .part_step = row});
    for (std::int64_t d = 0; d < quants.depth; d += 4) {
      Words four;
      Floats scale, min = {};
      __builtin_memcpy(&four, numbers + d * row, sizeof four);
      __builtin_memcpy(&scale, scales + d / quants.part * row, sizeof scale);
      if (quants.offset == 0) __builtin_memcpy(&min, mins + d / quants.part * row, sizeof min);
      const auto number = [&](int byte) {
        const Words whole = (four >> std::uint32_t(8 * byte) & 255u) - std::uint32_t(quants.offset);
        return scale * __builtin_convertvector((WholeNumbers)whole, Floats) - min;
      };
      store(pair_at(to, i + d), bf16_pairs(number(0), number(1)));
      store(pair_at(to, i + d + 2), bf16_pairs(number(2), number(3)));
    }
  }
}

/// The same for weights of any kind.
void take_weights(const Weights& weights, std::int64_t first, std::int64_t k, std::int64_t n, float* numbers,
                  char* to) {
  const BlockLayout* layout = weights.layout;
  if (weights.quants != nullptr) return take_quants(weights, first, k, n, to);
  if (layout == nullptr || !layout->by_depth) {
    read_rows(weights, first, kTileRows, k, n, numbers, kPanelDepth);
    for (std::int64_t i = 0; i < n; i += kTileDepth) {
      Words rows[16];
      for (int r = 0; r < 16; ++r) rows[r] = bf16_numbers(numbers + kPanelDepth * r + i);
      transpose_words(rows);
      for (int r = 0; r < 16; ++r) store(to + i / kTileDepth * kPanelTiles * kTileBytes + 64 * r, rows[r]);
    }
    return;
  }
  const char* block =
      weights.data +
      layout->bytes * std::size_t(first / kTileRows * (weights.depth / layout->depth) + k / layout->depth);
  for (std::int64_t i = 0; i < n; i += layout->depth, block += layout->bytes) {
    layout->read(block, weights.to_float, numbers, kTileRows);
    for (std::int64_t d = 0; d < layout->depth; d += 2) {
      Floats even, odd;
      __builtin_memcpy(&even, numbers + kTileRows * d, sizeof even);
      __builtin_memcpy(&odd, numbers + kTileRows * (d + 1), sizeof odd);
      store(pair_at(to, i + d), bf16_pairs(even, odd));
    }
  }
}

/// Multiplies 32 tokens by 32 outputs over `tiles` of depth. `x`: two rows of tiles, `x_row` bytes apart.
/// Tiles are loaded together, and tokens of a later step are fetched between products: on a core that another
/// program shares, the processor stalls at loads between products and at products without a gap.
template <class T>
void multiply_tiles(const char* x, std::size_t x_row, const char* panel, std::int64_t tiles, char* out,
                    std::size_t out_row, bool add) {
  char* lower = out + out_row * kTileRows;
  if (add) {
    T::template load<0>(out, out_row);
    T::template load<1>(out + 64, out_row);
    T::template load<2>(lower, out_row);
    T::template load<3>(lower + 64, out_row);
  } else {
    T::template zero<0>();
    T::template zero<1>();
    T::template zero<2>();
    T::template zero<3>();
  }
  const char* lower_x = x + x_row;
  for (std::int64_t i = 0; i < tiles; ++i, panel += kPanelTiles * kTileBytes) {
    T::template load<4>(x, 64);
    T::template load<6>(panel, 64);
    T::template load<7>(panel + kTileBytes, 64);
    T::template load<5>(lower_x, 64);
    x += kTileBytes;
    lower_x += kTileBytes;
    T::template multiply<0, 4, 6>();
    prefetch_tile(x + kTileBytes);
    T::template multiply<1, 4, 7>();
    T::template multiply<2, 5, 6>();
    prefetch_tile(lower_x + kTileBytes);
    T::template multiply<3, 5, 7>();
  }
  T::template store<0>(out, out_row);
  T::template store<1>(out + 64, out_row);
  T::template store<2>(lower, out_row);
  T::template store<3>(lower + 64, out_row);
}

/// Multiplies 32 tokens from `token` on with a panel. If fewer are left, their sums go through `sums`.
template <class T>
void multiply_step(const ProductTask& task, const char* x, const char* panel, char* sums, std::int64_t token,
                   std::int64_t output, std::int64_t k, std::int64_t n) {
  const std::int64_t rows = min_of(kStepTokens, task.n_tokens - token);
  const std::size_t x_row = std::size_t(task.weights.depth / kTileDepth * kTileBytes);
  const char* from = x + x_row * std::size_t(token / kTileRows) + k / kTileDepth * kTileBytes;
  char* out = task.out + task.out_row * std::size_t(token) + 4 * output;
  constexpr std::size_t sums_row = kProductOutputs * 4;
  const bool whole = rows == kStepTokens;
  if (!whole && k > 0)
    for (std::int64_t r = 0; r < rows; ++r)
      __builtin_memcpy(sums + sums_row * std::size_t(r), out + task.out_row * std::size_t(r), sums_row);
  for (std::int64_t t = 0; t < kPanelTiles; t += 2)
    multiply_tiles<T>(from, x_row, panel + t * kTileBytes, n / kTileDepth, (whole ? out : sums) + 64 * t,
                      whole ? task.out_row : sums_row, k > 0);
  if (!whole)
    for (std::int64_t r = 0; r < rows; ++r)
      __builtin_memcpy(out + task.out_row * std::size_t(r), sums + sums_row * std::size_t(r), sums_row);
}

/// How the work is shared: panels of outputs, each with all tokens. The last panels, fewer than there are
/// threads, are also cut by tokens, so that no thread waits long for another. From kFewestTokens on it costs
/// little to read weights more than once.
struct Shares {
  static constexpr std::int64_t kFewestTokens = 128;
  std::int64_t n_tokens, whole, parts, count;

  struct Share {
    std::int64_t output, first, end;  ///< tokens from `first` to `end`
  };

  Shares(const ProductTask& task, int n_threads) : n_tokens(task.n_tokens) {
    const std::int64_t panels = task.n_out / kProductOutputs, rest = panels % n_threads;
    whole = panels - rest;
    parts = min_of(n_threads, n_tokens / kFewestTokens);
    if (parts < 1) parts = 1;
    count = whole + rest * parts;
  }

  Share at(std::int64_t i) const {
    if (i < whole) return {i * kProductOutputs, 0, n_tokens};
    const std::int64_t part = (i - whole) % parts;
    const auto bound = [&](std::int64_t p) { return n_tokens * p / parts / kStepTokens * kStepTokens; };
    return {(whole + (i - whole) / parts) * kProductOutputs, bound(part),
            part + 1 == parts ? n_tokens : bound(part + 1)};
  }
};

template <class T>
void amx_run(const ProductTask& task, int thread, int n_threads, char* shared, char* own, Team& team) {
  const AmxOwnOffsets at;
  const std::int64_t depth = task.weights.depth;
  for (std::int64_t t = thread; t < token_tiles(task) && !task.is_packed; t += n_threads)
    take_tokens(task, t, shared + t * (depth / kTileDepth) * kTileBytes);
  barrier(team, n_threads);

  const TileScope<T> scope;
  const Shares shares(task, n_threads);
  for (std::int64_t i; (i = team.next.fetch_add(1)) < shares.count;) {
    const auto [o, first, end] = shares.at(i);
    for (std::int64_t k = 0; k < depth; k += kPanelDepth) {
      const std::int64_t n = min_of(kPanelDepth, depth - k);
      for (std::int64_t t = 0; t < kPanelTiles; ++t)
        take_weights(task.weights, o + t * kTileRows, k, n, (float*)(own + at.numbers),
                     own + at.panel + t * kTileBytes);
      for (std::int64_t t = first; t < end; t += kStepTokens)
        multiply_step<T>(task, shared, own + at.panel, own + at.sums, t, o, k, n);
    }
  }
}

template <class T>
constexpr ProductKernel amx_product(const char* name) {
  return {.arithmetic = Arithmetic::bf16_amx,
          .name = name,
          .reads_by_depth = true,
          .shared_bytes = amx_shared_bytes,
          .thread_bytes = amx_thread_bytes,
          .run = amx_run<T>};
}

}  // namespace
}  // namespace chunkkv::kernels
