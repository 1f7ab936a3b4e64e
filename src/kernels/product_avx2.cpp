// Compiled for AVX2 with FMA, and run only on processors that have both. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product.h"
#include "kernels/transpose_avx2.h"

#include <immintrin.h>

namespace chunkkv::kernels {
namespace {

// Weights and activations become whole numbers of 13 bits with one factor for each 128 of depth, so that 128
// products add up in 32 bits. A vector holds two neighbouring depths for each of 8 outputs: `vpmaddwd`
// multiplies and adds up both, 16 products at a time where F32 does 8.
constexpr int kVectorOutputs = 8;
constexpr int kStripVectors = 2;
constexpr int kStripOutputs = kVectorOutputs * kStripVectors;
constexpr std::int64_t kShareOutputs = 32;  // outputs that a thread takes at a time
constexpr int kMostTokens = 6;              // 12 sums, two weights, activations and products: 16 registers
constexpr std::int64_t kChain = 128;        // depths with one factor
constexpr std::int64_t kDepthAtOnce = 256;  // a share of this depth stays in the first-level cache
constexpr float kLargest = 4095;            // 128 times its square is below 2^31

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}
constexpr std::int64_t min_of(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
constexpr std::int64_t chains(std::int64_t depth) {
  return (depth + kChain - 1) / kChain;
}

struct SharedOffsets {
  std::size_t x, factors, bytes;
  explicit SharedOffsets(const ProductTask& task)
      : x(0),
        factors(aligned(std::size_t(task.n_tokens * task.weights.depth) * 2)),
        bytes(factors + aligned(std::size_t(task.n_tokens * chains(task.weights.depth)) * 4)) {}
};

constexpr std::size_t kStripBytes = std::size_t(kDepthAtOnce) * kStripOutputs * 2;

struct OwnOffsets {
  std::size_t strips, factors, rows, whole, bytes;
  OwnOffsets()
      : strips(0),
        factors(kStripBytes * std::size_t(kShareOutputs / kStripOutputs)),
        rows(factors + std::size_t(chains(kDepthAtOnce) * kShareOutputs) * 4),
        whole(rows + std::size_t(kDepthAtOnce) * kVectorOutputs * 4),
        bytes(whole + std::size_t(kDepthAtOnce) * kVectorOutputs * 2) {}
};

/// Scales up to 128 numbers to whole ones. Returns the factor that undoes it; NaN if one is not finite.
float quantize(const float* from, std::int64_t n, std::int16_t* to) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 most = _mm256_setzero_ps(), not_finite = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < n; i += 8) {
    const __m256 v = _mm256_loadu_ps(from + i);
    most = _mm256_max_ps(most, _mm256_and_ps(v, magnitude));
    not_finite = _mm256_fmadd_ps(v, _mm256_setzero_ps(), not_finite);
  }
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_movehdup_ps(m));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(not_finite), _mm256_extractf128_ps(not_finite, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  const float highest = _mm_cvtss_f32(m);
  const float factor = highest > 1e-30f ? highest / kLargest : 1.0f;
  const __m256 scale = _mm256_set1_ps(1 / factor);
  for (std::int64_t i = 0; i < n; i += 16) {
    const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(scale, _mm256_loadu_ps(from + i)));
    const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(scale, _mm256_loadu_ps(from + i + 8)));
    _mm256_storeu_si256((__m256i*)(to + i), _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8));
  }
  return factor + _mm_cvtss_f32(s);
}

/// Packs the depths k .. k + n of 8 rows of weights as vector `v` of a strip [pairs of depth][16 outputs],
/// and writes their factors [chains][outputs of a share].
void pack(const Weights& weights, std::int64_t first, std::int64_t k, std::int64_t n, int v, char* own,
          char* strip, float* factors) {
  const OwnOffsets at;
  float* rows = (float*)(own + at.rows);
  std::int16_t* whole = (std::int16_t*)(own + at.whole);
  read_rows(weights, first, kVectorOutputs, k, n, rows, kDepthAtOnce);
  for (int r = 0; r < kVectorOutputs; ++r)
    for (std::int64_t i = 0; i < n; i += kChain)
      factors[i / kChain * kShareOutputs + r] =
          quantize(rows + kDepthAtOnce * r + i, min_of(kChain, n - i), whole + kDepthAtOnce * r + i);
  for (std::int64_t i = 0; i < n; i += 16) {
    __m256i r[8];
    for (int j = 0; j < 8; ++j) r[j] = _mm256_loadu_si256((const __m256i*)(whole + kDepthAtOnce * j + i));
    transpose(r);
    for (int j = 0; j < 8; ++j)
      _mm256_store_si256((__m256i*)(strip + (i / 2 + j) * kStripOutputs * 4 + 32 * v), r[j]);
  }
}

/// Returns sum + the products of both halves. Assembly, so that GCC keeps the order and sums in registers.
inline __attribute__((always_inline)) __m256i with_products(__m256i sum, __m256i w, __m256i pair) {
  __m256i products;
  asm volatile("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(w), "x"(pair));
  return sum;
}

/// Multiplies `Tokens` tokens with a strip over `n` depths.
template <int Tokens>
void multiply(const std::int16_t* x, std::int64_t x_row, const float* x_factors, std::int64_t x_chains,
              const char* strip, const float* factors, std::int64_t n, float* out, std::size_t out_row,
              bool add) {
  __m256 results[Tokens][kStripVectors];
#pragma GCC unroll 8
  for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
    for (int v = 0; v < kStripVectors; ++v)
      results[t][v] = add ? _mm256_loadu_ps((const float*)((const char*)out + out_row * std::size_t(t)) +
                                            kVectorOutputs * v)
                          : _mm256_setzero_ps();
  for (std::int64_t first = 0; first < n; first += kChain) {
    const std::int64_t pairs = min_of(kChain, n - first) / 2;
    __m256i sums[Tokens][kStripVectors];
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
      for (int v = 0; v < kStripVectors; ++v) sums[t][v] = _mm256_setzero_si256();
    const char* w = strip + first / 2 * kStripOutputs * 4;
    const std::int16_t* from = x + first;
    for (std::int64_t k = 0; k < pairs; ++k) {
      const __m256i w0 = _mm256_load_si256((const __m256i*)(w + 64 * k));
      const __m256i w1 = _mm256_load_si256((const __m256i*)(w + 64 * k + 32));
#pragma GCC unroll 8
      for (int t = 0; t < Tokens; ++t) {
        const __m256i pair = _mm256_set1_epi32(*(const int*)(from + x_row * t + 2 * k));
        sums[t][0] = with_products(sums[t][0], w0, pair);
        sums[t][1] = with_products(sums[t][1], w1, pair);
      }
    }
    const std::int64_t c = first / kChain;
#pragma GCC unroll 8
    for (int v = 0; v < kStripVectors; ++v) {
      const __m256 f = _mm256_load_ps(factors + c * kShareOutputs + kVectorOutputs * v);
#pragma GCC unroll 8
      for (int t = 0; t < Tokens; ++t)
        results[t][v] =
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[t][v]),
                            _mm256_mul_ps(f, _mm256_set1_ps(x_factors[x_chains * t + c])), results[t][v]);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
    for (int v = 0; v < kStripVectors; ++v)
      _mm256_storeu_ps((float*)((char*)out + out_row * std::size_t(t)) + kVectorOutputs * v, results[t][v]);
}

/// Multiplies all tokens with the strips of a share, over the depths k .. k + n.
void multiply_all(const ProductTask& task, const std::int16_t* x, const float* x_factors, const char* own,
                  std::int64_t output, std::int64_t k, std::int64_t n) {
  const OwnOffsets at;
  const std::int64_t depth = task.weights.depth, x_chains = chains(depth);
  for (std::int64_t t = 0; t < task.n_tokens; t += kMostTokens)
    for (std::int64_t s = 0; s < kShareOutputs; s += kStripOutputs) {
      float* out = (float*)(task.out + task.out_row * std::size_t(t)) + output + s;
      auto run = [&](auto multiply_some) {
        multiply_some(x + depth * t + k, depth, x_factors + x_chains * t + k / kChain, x_chains,
                      own + at.strips + kStripBytes * std::size_t(s / kStripOutputs),
                      (const float*)(own + at.factors) + s, n, out, task.out_row, k > 0);
      };
      switch (min_of(kMostTokens, task.n_tokens - t)) {
        case 6:
          run(multiply<6>);
          break;
        case 5:
          run(multiply<5>);
          break;
        case 4:
          run(multiply<4>);
          break;
        case 3:
          run(multiply<3>);
          break;
        case 2:
          run(multiply<2>);
          break;
        default:
          run(multiply<1>);
      }
    }
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
  float* x_factors = (float*)(shared + in.factors);
  std::int16_t* x = (std::int16_t*)(shared + in.x);
  for (std::int64_t t = thread; t < task.n_tokens; t += n_threads) {
    const float* from = (const float*)(task.x + task.x_row * std::size_t(t));
    for (std::int64_t k = 0; k < depth; k += kChain)
      x_factors[chains(depth) * t + k / kChain] =
          quantize(from + k, min_of(kChain, depth - k), x + depth * t + k);
  }
  barrier(team, n_threads);

  float* factors = (float*)(own + at.factors);
  for (;;) {
    const std::int64_t o = team.next.fetch_add(1) * kShareOutputs;
    if (o >= task.n_out) return;
    for (std::int64_t k = 0; k < depth; k += kDepthAtOnce) {
      const std::int64_t n = min_of(kDepthAtOnce, depth - k);
      for (std::int64_t r = 0; r < kShareOutputs; r += kVectorOutputs)
        pack(task.weights, o + r, k, n, int(r / kVectorOutputs % kStripVectors), own,
             own + at.strips + kStripBytes * std::size_t(r / kStripOutputs), factors + r);
      multiply_all(task, x, x_factors, own, o, k, n);
    }
  }
}

}  // namespace

const ProductKernel kProductAvx2 = {.arithmetic = Arithmetic::integers_avx2,
                                    .name = "16-bit integers, AVX2",
                                    .reads_by_depth = false,
                                    .shared_bytes = shared_bytes,
                                    .thread_bytes = thread_bytes,
                                    .run = run};

}  // namespace chunkkv::kernels
