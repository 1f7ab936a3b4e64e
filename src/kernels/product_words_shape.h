#pragma once

#include "kernels/attention_vectors.h"
#include "kernels/lanes_avx2.h"
#include "kernels/product.h"
#include "kernels/transpose_avx2.h"

namespace chunkkv::kernels {
namespace {

/// Products with weights of any type: weights and activations become whole numbers of 13 bits with one factor
/// for each 128 of depth, so that 128 products add up in 32 bits. A vector holds two neighbouring depths for
/// each of its outputs. The arithmetic `A` multiplies two such vectors and adds up both products.
template <class A>
class WordProduct {
  using V = typename A::Vector;
  using F = typename V::F;
  using I = typename V::I;

  static constexpr std::int64_t kRows = 8;  // of weights that are packed together
  static constexpr int kStripVectors = 2;
  static constexpr std::int64_t kStripOutputs = V::kWidth * kStripVectors;
  static constexpr std::int64_t kShareOutputs = 32;  // outputs that a thread takes at a time
  static constexpr std::int64_t kNStrips = kShareOutputs / kStripOutputs;
  static constexpr int kMostTokens = 6;              // 12 sums, two weights, activations and products
  static constexpr std::int64_t kChain = 128;        // depths with one factor
  static constexpr std::int64_t kDepthAtOnce = 256;  // a share of this depth stays in the first-level cache
  static constexpr float kLargest = 4095;            // 128 times its square is below 2^31
  static constexpr std::size_t kPairBytes = std::size_t(kStripOutputs) * 4;  // two depths of a strip

  static constexpr std::int64_t chains(std::int64_t depth) { return (depth + kChain - 1) / kChain; }

  /// What all threads read: activations, and their factors.
  struct Shared {
    std::int16_t* x;  ///< [tokens][depth]
    float* factors;   ///< [tokens][chains]
    std::size_t bytes;

    Shared(const ProductTask& task, char* shared) {
      MemoryParts all{shared};
      x = (std::int16_t*)all.take(std::size_t(task.n_tokens * task.weights.depth) * sizeof(std::int16_t));
      factors = all.take_floats(std::size_t(task.n_tokens * chains(task.weights.depth)));
      bytes = all.bytes;
    }
  };

  /// A strip of weights as a thread packs it.
  struct Strip {
    char* numbers;   ///< [pairs of depth][outputs][2]
    float* factors;  ///< [chains][outputs]
  };
  struct Own {
    Strip strips[kNStrips];
    float* rows;          ///< [kRows][kDepthAtOnce]
    std::int16_t* whole;  ///< the same, as whole numbers
    std::size_t bytes;

    explicit Own(char* own) {
      MemoryParts all{own};
      for (Strip& strip : strips)
        strip = {all.take(kPairBytes * std::size_t(kDepthAtOnce / 2)),
                 all.take_floats(std::size_t(chains(kDepthAtOnce) * kStripOutputs))};
      rows = all.take_floats(std::size_t(kRows * kDepthAtOnce));
      whole = (std::int16_t*)all.take(std::size_t(kRows * kDepthAtOnce) * sizeof(std::int16_t));
      bytes = all.bytes;
    }
  };

  /// The activations that a strip is multiplied with.
  struct Activations {
    const std::int16_t* x;  ///< [tokens][depth]
    const float* factors;   ///< [tokens][chains]
    std::int64_t depth, n_chains;
  };

 public:
  static std::size_t shared_bytes(const ProductTask& task) { return Shared(task, nullptr).bytes; }
  static std::size_t thread_bytes(const ProductTask&) { return Own(nullptr).bytes; }

  static void run(const ProductTask& task, int thread, int n_threads, char* shared, char* own, Team& team) {
    const Shared in(task, shared);
    const Own at(own);
    const std::int64_t depth = task.weights.depth, n_chains = chains(depth);
    for (std::int64_t t = thread; t < task.n_tokens && !task.is_packed; t += n_threads) {
      const float* from = numbers(task.x + task.x_row * std::size_t(t));
      for (std::int64_t k = 0; k < depth; k += kChain)
        in.factors[n_chains * t + k / kChain] =
            quantize(from + k, min_of(kChain, depth - k), in.x + depth * t + k);
    }
    barrier(team, n_threads);

    for (;;) {
      const std::int64_t o = team.next.fetch_add(1) * kShareOutputs;
      if (o >= task.n_out) return;
      for (std::int64_t k = 0; k < depth; k += kDepthAtOnce) {
        const std::int64_t n = min_of(kDepthAtOnce, depth - k);
        for (std::int64_t r = 0; r < kShareOutputs; r += kRows)
          pack(task.weights, o + r, k, n, r % kStripOutputs, at, at.strips[r / kStripOutputs]);
        for (std::int64_t t = 0; t < task.n_tokens; t += kMostTokens) {
          const Activations a{in.x + depth * t + k, in.factors + n_chains * t + k / kChain, depth, n_chains};
          const Multiply multiply_some = multiply_for(task.n_tokens - t);
          char* out = task.out + task.out_row * std::size_t(t) + o * std::int64_t(sizeof(float));
          for (const Strip& strip : at.strips) {
            multiply_some(a, strip, n, out, task.out_row, k > 0);
            out += kStripOutputs * std::int64_t(sizeof(float));
          }
        }
      }
    }
  }

 private:
  /// Scales up to 128 numbers to whole ones. Returns the factor that undoes it; NaN if one is not finite.
  static float quantize(const float* from, std::int64_t n, std::int16_t* to) {
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 most = _mm256_setzero_ps(), not_finite = _mm256_setzero_ps();
    for (std::int64_t i = 0; i < n; i += 8) {
      const __m256 v = _mm256_loadu_ps(from + i);
      most = _mm256_max_ps(most, _mm256_and_ps(v, magnitude));
      not_finite = _mm256_fmadd_ps(v, _mm256_setzero_ps(), not_finite);
    }
    const float highest = largest_of(most);
    const float factor = highest > 1e-30f ? highest / kLargest : 1.0f;
    const __m256 scale = _mm256_set1_ps(1 / factor);
    for (std::int64_t i = 0; i < n; i += 16) {
      const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(scale, _mm256_loadu_ps(from + i)));
      const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(scale, _mm256_loadu_ps(from + i + 8)));
      _mm256_storeu_si256((__m256i*)(to + i), _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8));
    }
    return factor + sum_of(not_finite);
  }

  /// Packs the depths k .. k + n of 8 rows of weights as the outputs from `output` on of a strip, with their
  /// factors.
  static void pack(const Weights& weights, std::int64_t first, std::int64_t k, std::int64_t n,
                   std::int64_t output, const Own& at, const Strip& strip) {
    read_rows(weights, first, int(kRows), k, n, at.rows, kDepthAtOnce);
    for (std::int64_t r = 0; r < kRows; ++r)
      for (std::int64_t i = 0; i < n; i += kChain)
        strip.factors[i / kChain * kStripOutputs + output + r] =
            quantize(at.rows + kDepthAtOnce * r + i, min_of(kChain, n - i), at.whole + kDepthAtOnce * r + i);
    for (std::int64_t i = 0; i < n; i += 16)
      transpose_rows(at.whole + i, kDepthAtOnce * sizeof(std::int16_t),
                     strip.numbers + kPairBytes * std::size_t(i / 2) + 4 * output, kPairBytes);
  }

  static CHUNKKV_INLINE I load(const char* from) { return V::load((const std::uint32_t*)from); }

  static float* result(char* out, std::size_t out_row, int token, int vector) {
    return numbers(out + out_row * std::size_t(token)) + V::kWidth * vector;
  }

  /// Multiplies `Tokens` tokens with a strip over `n` depths.
  template <int Tokens>
  static void multiply(const Activations& a, const Strip& strip, std::int64_t n, char* out,
                       std::size_t out_row, bool add) {
    F results[Tokens][kStripVectors];
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
      for (int v = 0; v < kStripVectors; ++v) results[t][v] = add ? V::load(result(out, out_row, t, v)) : F{};
    for (std::int64_t first = 0; first < n; first += kChain) {
      I sums[Tokens][kStripVectors];
#pragma GCC unroll 8
      for (int t = 0; t < Tokens; ++t) sums[t][0] = sums[t][1] = I{};
      const char* w = strip.numbers + kPairBytes * std::size_t(first / 2);
      const std::int16_t* x = a.x + first;
      for (std::int64_t k = 0; k < min_of(kChain, n - first) / 2; ++k, w += kPairBytes, x += 2) {
        const I w0 = load(w), w1 = load(w + kPairBytes / 2);
#pragma GCC unroll 8
        for (int t = 0; t < Tokens; ++t) {
          const I pair = *(const int*)(x + a.depth * t) + I{};
          sums[t][0] = A::with_products(sums[t][0], w0, pair);
          sums[t][1] = A::with_products(sums[t][1], w1, pair);
        }
      }
      const std::int64_t c = first / kChain;
#pragma GCC unroll 8
      for (int v = 0; v < kStripVectors; ++v) {
        const F factor = V::load(strip.factors + c * kStripOutputs + V::kWidth * v);
#pragma GCC unroll 8
        for (int t = 0; t < Tokens; ++t)
          results[t][v] +=
              __builtin_convertvector(sums[t][v], F) * (factor * V::all(a.factors[a.n_chains * t + c]));
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
      for (int v = 0; v < kStripVectors; ++v) V::store(result(out, out_row, t, v), results[t][v]);
  }

  using Multiply = void (*)(const Activations&, const Strip&, std::int64_t, char*, std::size_t, bool);

  static Multiply multiply_for(std::int64_t tokens) {
    constexpr Multiply all[] = {multiply<1>, multiply<2>, multiply<3>, multiply<4>, multiply<5>, multiply<6>};
    return all[min_of(kMostTokens, tokens) - 1];
  }
};

template <class A>
constexpr ProductKernel word_product(const char* name) {
  return {.arithmetic = Arithmetic::words,
          .name = name,
          .shared_bytes = WordProduct<A>::shared_bytes,
          .thread_bytes = WordProduct<A>::thread_bytes,
          .run = WordProduct<A>::run};
}

}  // namespace
}  // namespace chunkkv::kernels
