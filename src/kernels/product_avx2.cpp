// Compiled for AVX2 with FMA, and run only where there is it. Nothing here may use templates or inline
// functions of others: the linker might keep this file's copy of them for all.
#include "kernels/product.h"
#include "kernels/transpose_avx2.h"

#include <immintrin.h>

namespace chunkkv::kernels {
namespace {

// Numbers are whole numbers of 13 bits with one factor for 128 of depth, so that 128 products add up in 32
// bits. A vector holds two neighbouring numbers of depth for each of 8 outputs: `vpmaddwd` multiplies and
// adds up both, 16 products at a time where F32 does 8.
constexpr int vector_outputs = 8;
constexpr int strip_vectors = 2;
constexpr int strip_outputs = vector_outputs * strip_vectors;
constexpr std::int64_t share_outputs = 32;   // what a thread takes at a time
constexpr int most_tokens = 6;               // 12 sums, two weights, activations and products: 16 registers
constexpr std::int64_t chain = 128;          // of depth
constexpr std::int64_t depth_at_once = 256;  // a share of so many stays in the first-level cache
constexpr float largest = 4095;              // 128 times its square is below 2^31

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}
constexpr std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
constexpr std::int64_t chains(std::int64_t depth) {
  return (depth + chain - 1) / chain;
}

struct Shared {
  std::size_t x, factors, bytes;
  explicit Shared(const ProductTask& task)
      : x(0),
        factors(aligned(std::size_t(task.n_tokens * task.weights.depth) * 2)),
        bytes(factors + aligned(std::size_t(task.n_tokens * chains(task.weights.depth)) * 4)) {}
};

constexpr std::size_t strip_bytes = std::size_t(depth_at_once) * strip_outputs * 2;

struct Own {
  std::size_t strips, factors, rows, whole, bytes;
  Own()
      : strips(0),
        factors(strip_bytes * std::size_t(share_outputs / strip_outputs)),
        rows(factors + std::size_t(chains(depth_at_once) * share_outputs) * 4),
        whole(rows + std::size_t(depth_at_once) * vector_outputs * 4),
        bytes(whole + std::size_t(depth_at_once) * vector_outputs * 2) {}
};

/// Up to 128 numbers as whole numbers. Returns what undoes it; not a number if one of them is not finite.
float to_whole(const float* from, std::int64_t n, std::int16_t* to) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 most = _mm256_setzero_ps(), spoilt = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < n; i += 8) {
    const __m256 v = _mm256_loadu_ps(from + i);
    most = _mm256_max_ps(most, _mm256_and_ps(v, magnitude));
    spoilt = _mm256_fmadd_ps(v, _mm256_setzero_ps(), spoilt);
  }
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_movehdup_ps(m));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(spoilt), _mm256_extractf128_ps(spoilt, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  const float highest = _mm_cvtss_f32(m);
  const float factor = highest > 1e-30f ? highest / largest : 1.0f;
  const __m256 scale = _mm256_set1_ps(1 / factor);
  for (std::int64_t i = 0; i < n; i += 16) {
    const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(scale, _mm256_loadu_ps(from + i)));
    const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(scale, _mm256_loadu_ps(from + i + 8)));
    _mm256_storeu_si256((__m256i*)(to + i), _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8));
  }
  return factor + _mm_cvtss_f32(s);
}

/// 8 rows of weights, n of depth from k on, as vector `v` of a strip [pairs of depth][16 outputs], and their
/// factors [chains][outputs of a share].
void pack(const Weights& weights, std::int64_t first, std::int64_t k, std::int64_t n, int v, char* own,
          char* strip, float* factors) {
  const Own at;
  float* rows = (float*)(own + at.rows);
  std::int16_t* whole = (std::int16_t*)(own + at.whole);
  read_rows(weights, first, vector_outputs, k, n, rows, depth_at_once);
  for (int r = 0; r < vector_outputs; ++r)
    for (std::int64_t i = 0; i < n; i += chain)
      factors[i / chain * share_outputs + r] =
          to_whole(rows + depth_at_once * r + i, least(chain, n - i), whole + depth_at_once * r + i);
  for (std::int64_t i = 0; i < n; i += 16) {
    __m256i r[8];
    for (int j = 0; j < 8; ++j) r[j] = _mm256_loadu_si256((const __m256i*)(whole + depth_at_once * j + i));
    transpose(r);
    for (int j = 0; j < 8; ++j)
      _mm256_store_si256((__m256i*)(strip + (i / 2 + j) * strip_outputs * 4 + 32 * v), r[j]);
  }
}

/// sum += the products of both halves. As assembly, so that GCC keeps the order and all sums in registers.
inline __attribute__((always_inline)) __m256i with_products(__m256i sum, __m256i w, __m256i pair) {
  __m256i products;
  asm volatile("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(w), "x"(pair));
  return sum;
}

/// `Tokens` tokens with a strip over n of depth.
template <int Tokens>
void multiply(const std::int16_t* x, std::int64_t x_row, const float* x_factors, std::int64_t x_chains,
              const char* strip, const float* factors, std::int64_t n, float* out, std::size_t out_row,
              bool add) {
  __m256 results[Tokens][strip_vectors];
#pragma GCC unroll 8
  for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
    for (int v = 0; v < strip_vectors; ++v)
      results[t][v] = add ? _mm256_loadu_ps((const float*)((const char*)out + out_row * std::size_t(t)) +
                                            vector_outputs * v)
                          : _mm256_setzero_ps();
  for (std::int64_t first = 0; first < n; first += chain) {
    const std::int64_t pairs = least(chain, n - first) / 2;
    __m256i sums[Tokens][strip_vectors];
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
      for (int v = 0; v < strip_vectors; ++v) sums[t][v] = _mm256_setzero_si256();
    const char* w = strip + first / 2 * strip_outputs * 4;
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
    const std::int64_t c = first / chain;
#pragma GCC unroll 8
    for (int v = 0; v < strip_vectors; ++v) {
      const __m256 f = _mm256_load_ps(factors + c * share_outputs + vector_outputs * v);
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
    for (int v = 0; v < strip_vectors; ++v)
      _mm256_storeu_ps((float*)((char*)out + out_row * std::size_t(t)) + vector_outputs * v, results[t][v]);
}

/// The tokens with the strips of a share, n of depth from k on.
void multiply_all(const ProductTask& task, const std::int16_t* x, const float* x_factors, const char* own,
                  std::int64_t output, std::int64_t k, std::int64_t n) {
  const Own at;
  const std::int64_t depth = task.weights.depth, x_chains = chains(depth);
  for (std::int64_t t = 0; t < task.n_tokens; t += most_tokens)
    for (std::int64_t s = 0; s < share_outputs; s += strip_outputs) {
      float* out = (float*)(task.out + task.out_row * std::size_t(t)) + output + s;
      auto run = [&](auto multiply_some) {
        multiply_some(x + depth * t + k, depth, x_factors + x_chains * t + k / chain, x_chains,
                      own + at.strips + strip_bytes * std::size_t(s / strip_outputs),
                      (const float*)(own + at.factors) + s, n, out, task.out_row, k > 0);
      };
      switch (least(most_tokens, task.n_tokens - t)) {
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
  return Shared(task).bytes;
}

std::size_t thread_bytes(const ProductTask&) {
  return Own().bytes;
}

void run(const ProductTask& task, int thread, int n_threads, char* shared, char* own, Team& team) {
  const Shared in(task);
  const Own at;
  const std::int64_t depth = task.weights.depth;
  float* x_factors = (float*)(shared + in.factors);
  std::int16_t* x = (std::int16_t*)(shared + in.x);
  for (std::int64_t t = thread; t < task.n_tokens; t += n_threads) {
    const float* from = (const float*)(task.x + task.x_row * std::size_t(t));
    for (std::int64_t k = 0; k < depth; k += chain)
      x_factors[chains(depth) * t + k / chain] =
          to_whole(from + k, least(chain, depth - k), x + depth * t + k);
  }
  meet(team, n_threads);

  float* factors = (float*)(own + at.factors);
  for (;;) {
    const std::int64_t o = team.next.fetch_add(1) * share_outputs;
    if (o >= task.n_out) return;
    for (std::int64_t k = 0; k < depth; k += depth_at_once) {
      const std::int64_t n = least(depth_at_once, depth - k);
      for (std::int64_t r = 0; r < share_outputs; r += vector_outputs)
        pack(task.weights, o + r, k, n, int(r / vector_outputs % strip_vectors), own,
             own + at.strips + strip_bytes * std::size_t(r / strip_outputs), factors + r);
      multiply_all(task, x, x_factors, own, o, k, n);
    }
  }
}

}  // namespace

const ProductKernel product_avx2 = {.arithmetic = Arithmetic::integers_avx2,
                                    .name = "16-bit integers, AVX2",
                                    .reads_by_depth = false,
                                    .shared_bytes = shared_bytes,
                                    .thread_bytes = thread_bytes,
                                    .run = run};

}  // namespace chunkkv::kernels
