// Compiled for AVX2 with FMA, and run only on processors that have both. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product.h"
#include "kernels/transpose_avx2.h"

#include <immintrin.h>

namespace chunkkv::kernels {
namespace {

// Quantised weights stay the small whole numbers that they are; activations are rounded to 8 bits with one
// factor for each 32 of depth, as in the engine. A vector holds four neighbouring depths for each of 8
// outputs: `vpmaddubsw` multiplies 32 numbers and adds up pairs in 16 bits.
constexpr int kVectorOutputs = 8;
constexpr int kStripVectors = 2;
constexpr int kStripOutputs = kVectorOutputs * kStripVectors;
constexpr std::int64_t kShareOutputs = 32;  // outputs that a thread takes at a time
constexpr int kMostTokens = 6;              // 12 sums, two weights, activations and products: 16 registers
constexpr std::int64_t kBlock = 32;         // depths with one factor of activations
constexpr std::int64_t kDepthAtOnce = 512;  // a share of this depth stays in the first-level cache
constexpr int kBlockVectors = 8;
constexpr std::size_t kBlockBytes = kBlock * kStripOutputs;
constexpr float kLargest = 127;

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}
constexpr std::int64_t min_of(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

struct SharedOffsets {
  std::size_t x, factors, sums, bytes;
  explicit SharedOffsets(const ProductTask& task)
      : x(0),
        factors(aligned(std::size_t(task.n_tokens * task.weights.depth))),
        sums(factors + aligned(std::size_t(task.n_tokens * task.weights.depth / kBlock) * 4)),
        bytes(sums + aligned(std::size_t(task.n_tokens * task.weights.depth / kBlock) * 8)) {}
};

// Scales and mins, [parts][outputs of a strip], have room for parts of 16 depths.
constexpr std::size_t kStripBytes = std::size_t(kDepthAtOnce) * kStripOutputs;
constexpr std::size_t kStripScales = std::size_t(kDepthAtOnce / 16) * kStripOutputs;
constexpr std::size_t kNStrips = std::size_t(kShareOutputs / kStripOutputs);

struct OwnOffsets {
  std::size_t strips, scales, mins, numbers, bytes;
  OwnOffsets()
      : strips(0),
        scales(kStripBytes * kNStrips),
        mins(scales + kStripScales * kNStrips * 4),
        numbers(mins + kStripScales * kNStrips * 4),
        bytes(numbers + std::size_t(kMostQuantDepth) * kVectorOutputs) {}
};

float sum_of(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

float largest_of(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/// Rounds 32 activations to 8 bits; writes their factor (NaN if one is not finite) and the halves' sums.
void to_bytes(const float* from, signed char* to, float* factor, float* sums) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 v[4], most = _mm256_setzero_ps(), not_finite = _mm256_setzero_ps();
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_loadu_ps(from + 8 * i);
    most = _mm256_max_ps(most, _mm256_and_ps(v[i], magnitude));
    not_finite = _mm256_fmadd_ps(v[i], _mm256_setzero_ps(), not_finite);
  }
  const float highest = largest_of(most);
  *factor = highest > 1e-30f ? highest / kLargest : 1.0f;
  const __m256 scale = _mm256_set1_ps(1 / *factor);
  *factor += sum_of(not_finite);
  __m256i n[4];
  for (int i = 0; i < 4; ++i) n[i] = _mm256_cvtps_epi32(_mm256_mul_ps(scale, v[i]));
  for (int i = 0; i < 2; ++i)
    sums[i] = *factor * sum_of(_mm256_cvtepi32_ps(_mm256_add_epi32(n[2 * i], n[2 * i + 1])));
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(n[0], n[1]), _mm256_packs_epi32(n[2], n[3]));
  _mm256_storeu_si256((__m256i*)to,
                      _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

/// Packs the depths k .. k + n of 8 rows of weights as vector `v` of a strip [depth / 4][16 outputs][4], and
/// writes their scales and mins [parts][16 outputs].
void pack(const Weights& weights, std::int64_t first, std::int64_t k, std::int64_t n, int v, char* own,
          char* strip, float* scales, float* mins) {
  const ByteQuants& quants = *weights.quants;
  std::uint8_t* numbers = (std::uint8_t*)(own + OwnOffsets().numbers);
  const std::size_t blocks = std::size_t(weights.depth / quants.depth);
  const std::size_t row = quants.interleaved ? 0 : weights.row;
  const std::size_t step = quants.bytes * (quants.interleaved ? kVectorOutputs : 1);
  const char* from = weights.data + (quants.interleaved ? std::size_t(first) * quants.bytes * blocks
                                                        : std::size_t(first) * weights.row);
  from += step * std::size_t(k / quants.depth);
  for (std::int64_t d = 0; d < n; d += quants.depth, from += step) {
    float scale[kMostQuantDepth / 16 * kVectorOutputs], min[kMostQuantDepth / 16 * kVectorOutputs];
    quants.read(from, row, numbers, scale, min);
    for (std::int64_t p = 0; p < quants.depth / quants.part; ++p) {
      const std::int64_t to = (d / quants.part + p) * kStripOutputs + kVectorOutputs * v;
      _mm256_store_ps(scales + to, _mm256_loadu_ps(scale + kVectorOutputs * p));
      _mm256_store_ps(mins + to, _mm256_loadu_ps(min + kVectorOutputs * p));
    }
    for (std::int64_t i = 0; i < quants.depth; i += kBlock) {
      __m256i r[8];
      for (int j = 0; j < 8; ++j)
        r[j] = _mm256_loadu_si256((const __m256i*)(numbers + kMostQuantDepth * j + i));
      transpose(r);
      for (int j = 0; j < 8; ++j)
        _mm256_store_si256((__m256i*)(strip + (d + i) * kStripOutputs + 64 * j + 32 * v), r[j]);
    }
  }
}

/// Returns sum + the products of neighbours. Assembly, so that GCC keeps the order and sums in registers.
inline __attribute__((always_inline)) __m256i with_products(__m256i sum, __m256i w, __m256i x) {
  __m256i products;
  asm volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(w), "x"(x));
  return sum;
}

/// The activations that a strip is multiplied with.
struct Activations {
  const signed char* x;  // [tokens][depth]
  const float* factors;  // [tokens][depth / 32]
  const float* sums;     // [tokens][depth / 16]; every other one is used with parts of 32
  std::int64_t depth;    // numbers from token to token
};

/// Multiplies `Tokens` tokens with a strip over `n` depths.
template <int Tokens, int Part, int Chain>
void multiply(const Activations& a, const char* strip, const float* scales, const float* mins, std::int64_t n,
              float* out, std::size_t out_row, bool add) {
  constexpr int parts = int(kBlock) / Part, part_vectors = kBlockVectors / parts;
  __m256 results[Tokens][kStripVectors];
#pragma GCC unroll 8
  for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
    for (int v = 0; v < kStripVectors; ++v)
      results[t][v] = add ? _mm256_loadu_ps((const float*)((const char*)out + out_row * std::size_t(t)) +
                                            kVectorOutputs * v)
                          : _mm256_setzero_ps();
  for (std::int64_t b = 0; b < n / kBlock; ++b)
    for (int p = 0; p < parts; ++p) {
      const char* w = strip + std::size_t(b) * kBlockBytes + 64 * part_vectors * p;
      const signed char* x = a.x + kBlock * b + Part * p;
      __m256i whole[Tokens][kStripVectors];
#pragma GCC unroll 4
      for (int c = 0; c < part_vectors; c += Chain) {
        __m256i sums[Tokens][kStripVectors];
#pragma GCC unroll 8
        for (int t = 0; t < Tokens; ++t) sums[t][0] = sums[t][1] = _mm256_setzero_si256();
        for (int i = c; i < c + Chain; ++i) {
          const __m256i w0 = _mm256_load_si256((const __m256i*)(w + 64 * i));
          const __m256i w1 = _mm256_load_si256((const __m256i*)(w + 64 * i + 32));
#pragma GCC unroll 8
          for (int t = 0; t < Tokens; ++t) {
            const __m256i four = _mm256_set1_epi32(*(const int*)(x + a.depth * t + 4 * i));
            sums[t][0] = with_products(sums[t][0], w0, four);
            sums[t][1] = with_products(sums[t][1], w1, four);
          }
        }
        const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
        for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
          for (int v = 0; v < kStripVectors; ++v) {
            const __m256i s = _mm256_madd_epi16(sums[t][v], ones);
            whole[t][v] = c == 0 ? s : _mm256_add_epi32(whole[t][v], s);
          }
      }
      const std::int64_t part = b * parts + p;
#pragma GCC unroll 8
      for (int v = 0; v < kStripVectors; ++v) {
        const __m256 scale = _mm256_load_ps(scales + part * kStripOutputs + kVectorOutputs * v);
        const __m256 min = _mm256_load_ps(mins + part * kStripOutputs + kVectorOutputs * v);
#pragma GCC unroll 8
        for (int t = 0; t < Tokens; ++t) {
          const __m256 sum = _mm256_set1_ps(a.sums[a.depth / 16 * t + 2 * b + p]);
          const __m256 factor = _mm256_set1_ps(a.factors[a.depth / kBlock * t + b]);
          results[t][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole[t][v]), _mm256_mul_ps(scale, factor),
                                          _mm256_fnmadd_ps(min, sum, results[t][v]));
        }
      }
    }
#pragma GCC unroll 8
  for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
    for (int v = 0; v < kStripVectors; ++v)
      _mm256_storeu_ps((float*)((char*)out + out_row * std::size_t(t)) + kVectorOutputs * v, results[t][v]);
}

using Multiply = void (*)(const Activations&, const char*, const float*, const float*, std::int64_t, float*,
                          std::size_t, bool);

template <int Part, int Chain>
Multiply multiply_for(std::int64_t tokens) {
  constexpr Multiply all[] = {multiply<1, Part, Chain>, multiply<2, Part, Chain>, multiply<3, Part, Chain>,
                              multiply<4, Part, Chain>, multiply<5, Part, Chain>, multiply<6, Part, Chain>};
  return all[min_of(kMostTokens, tokens) - 1];
}

Multiply multiply_for(const ByteQuants& quants, std::int64_t tokens) {
  if (quants.chain == 8) return multiply_for<32, 8>(tokens);
  if (quants.chain == 4) return multiply_for<32, 4>(tokens);
  return multiply_for<16, 2>(tokens);
}

std::size_t shared_bytes(const ProductTask& task) {
  return SharedOffsets(task).bytes;
}

std::size_t thread_bytes(const ProductTask&) {
  return OwnOffsets().bytes;
}

void run(const ProductTask& task, int thread, int n_threads, char* shared, char* own, Team& team) {
  const SharedOffsets in(task);
  const OwnOffsets at;
  const std::int64_t depth = task.weights.depth;
  signed char* x = (signed char*)(shared + in.x);
  float *factors = (float*)(shared + in.factors), *sums = (float*)(shared + in.sums);
  for (std::int64_t t = thread; t < task.n_tokens; t += n_threads) {
    const float* from = (const float*)(task.x + task.x_row * std::size_t(t));
    for (std::int64_t k = 0; k < depth; k += kBlock) {
      float* both = sums + (depth * t + k) / 16;
      to_bytes(from + k, x + depth * t + k, factors + (depth * t + k) / kBlock, both);
      if (task.weights.quants->part == kBlock) both[0] += both[1];
    }
  }
  barrier(team, n_threads);

  for (;;) {
    const std::int64_t o = team.next.fetch_add(1) * kShareOutputs;
    if (o >= task.n_out) return;
    for (std::int64_t k = 0; k < depth; k += kDepthAtOnce) {
      const std::int64_t n = min_of(kDepthAtOnce, depth - k);
      const auto strip = [&](std::int64_t s) { return own + at.strips + kStripBytes * std::size_t(s); };
      const auto scales = [&](std::int64_t s) {
        return (float*)(own + at.scales) + kStripScales * std::size_t(s);
      };
      const auto mins = [&](std::int64_t s) {
        return (float*)(own + at.mins) + kStripScales * std::size_t(s);
      };
      for (std::int64_t r = 0; r < kShareOutputs; r += kVectorOutputs) {
        const std::int64_t s = r / kStripOutputs;
        pack(task.weights, o + r, k, n, int(r / kVectorOutputs % kStripVectors), own, strip(s), scales(s),
             mins(s));
      }
      for (std::int64_t t = 0; t < task.n_tokens; t += kMostTokens) {
        const Activations a{x + depth * t + k, factors + (depth * t + k) / kBlock,
                            sums + (depth * t + k) / 16, depth};
        const Multiply multiply_some = multiply_for(*task.weights.quants, task.n_tokens - t);
        for (std::int64_t s = 0; s < kShareOutputs / kStripOutputs; ++s)
          multiply_some(a, strip(s), scales(s), mins(s), n,
                        (float*)(task.out + task.out_row * std::size_t(t)) + o + s * kStripOutputs,
                        task.out_row, k > 0);
      }
    }
  }
}

}  // namespace

const ProductKernel kProductBytesAvx2 = {.arithmetic = Arithmetic::bytes_avx2,
                                         .name = "8-bit integers, AVX2",
                                         .reads_by_depth = false,
                                         .shared_bytes = shared_bytes,
                                         .thread_bytes = thread_bytes,
                                         .run = run};

}  // namespace chunkkv::kernels
