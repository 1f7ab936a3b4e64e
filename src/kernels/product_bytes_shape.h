#pragma once

#include "kernels/attention_vectors.h"
#include "kernels/lanes_avx2.h"
#include "kernels/product.h"

namespace chunkkv::kernels {
namespace {

/// Products with quantised weights, which stay the small whole numbers that they are; activations are rounded
/// to 8 bits with one factor for each 32 of depth, as in the engine. A vector holds four neighbouring depths
/// for each of its outputs. The arithmetic `A` multiplies two such vectors and adds up what belongs together.
template <class A>
class ByteProduct {
  using V = typename A::Vector;
  using F = typename V::F;
  using I = typename V::I;

  static constexpr int kStripVectors = 2;
  static constexpr std::int64_t kStripOutputs = V::kWidth * kStripVectors;
  static constexpr std::int64_t kShareOutputs = 32;  // outputs that a thread takes at a time
  static constexpr int kMostTokens = 6;              // 12 sums, two weights, activations and products
  static constexpr std::int64_t kBlock = 32;         // depths with one factor of activations
  static constexpr std::int64_t kDepthAtOnce = 512;  // a share of this depth stays in the first-level cache
  static constexpr std::size_t kQuadBytes = std::size_t(kStripOutputs) * 4;  // four depths of a strip
  static constexpr float kLargest = 127;

  // Scales and mins, [parts][outputs of a strip], have room for parts of 16 depths.
  static constexpr std::size_t kStripBytes = std::size_t(kDepthAtOnce * kStripOutputs);
  static constexpr std::size_t kStripScales = std::size_t(kDepthAtOnce / 16 * kStripOutputs);
  static constexpr std::size_t kNStrips = std::size_t(kShareOutputs / kStripOutputs);

  /// A sum of activations that are multiplied by the same scale: of what they stand for, to be multiplied by
  /// a min, or of their 8-bit numbers times the negative offset of weights.
  union PartSum {
    float value;
    std::int32_t offset;
  };

  /// What all threads read: activations, and for each block of them a factor and the halves' sums.
  struct Shared {
    signed char* x;
    float* factors;
    PartSum* sums;
    std::size_t bytes;

    Shared(const ProductTask& task, char* shared) {
      const std::size_t n = std::size_t(task.n_tokens * task.weights.depth);
      MemoryParts all{shared};
      x = (signed char*)all.take(n);
      factors = all.take_floats(n / kBlock);
      sums = (PartSum*)all.take(n / kBlock * 2 * sizeof(PartSum));
      bytes = all.bytes;
    }
  };

  /// A strip of weights as a thread packs it.
  struct Strip {
    char* numbers;  // [depth / 4][outputs][4]
    float *scales, *mins;
  };
  struct Own {
    Strip strips[kNStrips];
    std::size_t bytes;

    explicit Own(char* own) {
      MemoryParts all{own};
      for (Strip& strip : strips)
        strip = {all.take(kStripBytes), all.take_floats(kStripScales), all.take_floats(kStripScales)};
      bytes = all.bytes;
    }
  };

  /// The activations that a strip is multiplied with.
  struct Activations {
    const signed char* x;  // [tokens][depth]
    const float* factors;  // [tokens][depth / 32]
    const PartSum* sums;   // [tokens][depth / 16]; every other one is used with parts of 32
    std::int64_t depth;    // numbers from token to token
  };

 public:
  static std::size_t shared_bytes(const ProductTask& task) { return Shared(task, nullptr).bytes; }
  static std::size_t thread_bytes(const ProductTask&) { return Own(nullptr).bytes; }

  static void run(const ProductTask& task, int thread, int n_threads, char* shared, char* own, Team& team) {
    const Shared in(task, shared);
    const Own at(own);
    const std::int64_t depth = task.weights.depth;
    const ByteQuants& quants = *task.weights.quants;
    for (std::int64_t t = thread; t < task.n_tokens && !task.is_packed; t += n_threads) {
      const float* from = numbers(task.x + task.x_row * std::size_t(t));
      for (std::int64_t k = 0; k < depth; k += kBlock) {
        std::int32_t halves[2];
        float& factor = in.factors[(depth * t + k) / kBlock];
        to_bytes(from + k, in.x + depth * t + k, factor, halves);
        if (quants.part == kBlock) halves[0] += halves[1];
        for (int i = 0; i < 2; ++i) {
          PartSum& sum = in.sums[(depth * t + k) / 16 + i];
          if (quants.offset != 0)
            sum.offset = -quants.offset * halves[i];
          else
            sum.value = factor * float(halves[i]);
        }
      }
    }
    barrier(team, n_threads);

    for (;;) {
      const std::int64_t o = team.next.fetch_add(1) * kShareOutputs;
      if (o >= task.n_out) return;
      for (std::int64_t k = 0; k < depth; k += kDepthAtOnce) {
        const std::int64_t n = min_of(kDepthAtOnce, depth - k);
        for (std::int64_t r = 0; r < kShareOutputs; r += kQuantRows)
          pack(task.weights, o + r, k, n, r % kStripOutputs, at.strips[r / kStripOutputs]);
        for (std::int64_t t = 0; t < task.n_tokens; t += kMostTokens) {
          const Activations a{in.x + depth * t + k, in.factors + (depth * t + k) / kBlock,
                              in.sums + (depth * t + k) / 16, depth};
          const Multiply multiply_some = multiply_for(quants, task.n_tokens - t);
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
  /// Rounds 32 activations to 8 bits; writes their factor (NaN if one is not finite) and the sums of the
  /// halves' numbers.
  static void to_bytes(const float* from, signed char* to, float& factor, std::int32_t* sums) {
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 v[4], most = _mm256_setzero_ps(), not_finite = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_loadu_ps(from + 8 * i);
      most = _mm256_max_ps(most, _mm256_and_ps(v[i], magnitude));
      not_finite = _mm256_fmadd_ps(v[i], _mm256_setzero_ps(), not_finite);
    }
    const float highest = largest_of(most);
    factor = highest > 1e-30f ? highest / kLargest : 1.0f;
    const __m256 scale = _mm256_set1_ps(1 / factor);
    factor += sum_of(not_finite);
    __m256i n[4];
    for (int i = 0; i < 4; ++i) n[i] = _mm256_cvtps_epi32(_mm256_mul_ps(scale, v[i]));
    const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(n[0], n[1]), _mm256_packs_epi32(n[2], n[3]));
    const __m256i bytes = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i*)to, bytes);
    const __m256i twos = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
    const __m256i fours = _mm256_madd_epi16(twos, _mm256_set1_epi16(1));
    sums[0] = sum_of(_mm256_castsi256_si128(fours));
    sums[1] = sum_of(_mm256_extracti128_si256(fours, 1));
  }

  /// Packs the depths k .. k + n of 8 rows of weights as the outputs from `output` on of a strip, with their
  /// scales and mins [parts][outputs].
  static void pack(const Weights& weights, std::int64_t first, std::int64_t k, std::int64_t n,
                   std::int64_t output, const Strip& strip) {
    const ByteQuants& quants = *weights.quants;
    for (std::int64_t d = 0; d < n; d += quants.depth) {
      const std::int64_t part = d / quants.part * kStripOutputs + output;
      read_quants(weights, first, k + d,
                  {.numbers = strip.numbers + d * kStripOutputs + 4 * output,
                   .quad_bytes = kQuadBytes,
                   .scales = strip.scales + part,
                   .mins = strip.mins + part,
                   .part_step = std::size_t(kStripOutputs)});
    }
  }

  static CHUNKKV_INLINE I load(const char* from) { return V::load((const std::uint32_t*)from); }

  static float* result(char* out, std::size_t out_row, int token, int vector) {
    return numbers(out + out_row * std::size_t(token)) + V::kWidth * vector;
  }

  /// Multiplies `Tokens` tokens with a strip over `n` depths. `Chain`: how many products are added up before
  /// they are widened. `Offset`: the sums begin with what the weights' offset makes of the activations.
  template <int Tokens, int Part, int Chain, bool Offset>
  static void multiply(const Activations& a, const Strip& strip, std::int64_t n, char* out,
                       std::size_t out_row, bool add) {
    constexpr int parts = int(kBlock) / Part, quads = Part / 4;
    static_assert(!A::kIsWide || Chain == quads, "the offset is added once");
    F results[Tokens][kStripVectors];
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
      for (int v = 0; v < kStripVectors; ++v) results[t][v] = add ? V::load(result(out, out_row, t, v)) : F{};
    for (std::int64_t b = 0; b < n / kBlock; ++b)
      for (int p = 0; p < parts; ++p) {
        const char* w = strip.numbers + kQuadBytes * std::size_t(kBlock / 4 * b + quads * p);
        const signed char* x = a.x + kBlock * b + Part * p;
        I first[Tokens], whole[Tokens][kStripVectors];
#pragma GCC unroll 8
        for (int t = 0; t < Tokens; ++t)
          first[t] = (Offset ? a.sums[a.depth / 16 * t + 2 * b + p].offset : 0) + I{};
#pragma GCC unroll 4
        for (int c = 0; c < quads; c += Chain) {
          I sums[Tokens][kStripVectors];
#pragma GCC unroll 8
          for (int t = 0; t < Tokens; ++t) sums[t][0] = sums[t][1] = A::kIsWide ? first[t] : I{};
          for (int i = c; i < c + Chain; ++i) {
            const I w0 = load(w + kQuadBytes * std::size_t(i));
            const I w1 = load(w + kQuadBytes * std::size_t(i) + kQuadBytes / 2);
#pragma GCC unroll 8
            for (int t = 0; t < Tokens; ++t) {
              const I four = *(const int*)(x + a.depth * t + 4 * i) + I{};
              sums[t][0] = A::with_products(sums[t][0], w0, four);
              sums[t][1] = A::with_products(sums[t][1], w1, four);
            }
          }
#pragma GCC unroll 8
          for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
            for (int v = 0; v < kStripVectors; ++v) {
              const I s = A::widened(sums[t][v]);
              whole[t][v] = c > 0 ? whole[t][v] + s : A::kIsWide ? s : first[t] + s;
            }
        }
        const std::int64_t part = b * parts + p;
#pragma GCC unroll 8
        for (int v = 0; v < kStripVectors; ++v) {
          const F scale = V::load(strip.scales + part * kStripOutputs + V::kWidth * v);
          const F min = Offset ? F{} : V::load(strip.mins + part * kStripOutputs + V::kWidth * v);
#pragma GCC unroll 8
          for (int t = 0; t < Tokens; ++t) {
            const F factor = V::all(a.factors[a.depth / kBlock * t + b]);
            if constexpr (!Offset) results[t][v] -= min * V::all(a.sums[a.depth / 16 * t + 2 * b + p].value);
            results[t][v] += __builtin_convertvector(whole[t][v], F) * (scale * factor);
          }
        }
      }
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t)
#pragma GCC unroll 8
      for (int v = 0; v < kStripVectors; ++v) V::store(result(out, out_row, t, v), results[t][v]);
  }

  using Multiply = void (*)(const Activations&, const Strip&, std::int64_t, char*, std::size_t, bool);

  template <int Part, int Chain, bool Offset>
  static Multiply multiply_for(std::int64_t tokens) {
    constexpr Multiply all[] = {multiply<1, Part, Chain, Offset>, multiply<2, Part, Chain, Offset>,
                                multiply<3, Part, Chain, Offset>, multiply<4, Part, Chain, Offset>,
                                multiply<5, Part, Chain, Offset>, multiply<6, Part, Chain, Offset>};
    return all[min_of(kMostTokens, tokens) - 1];
  }
  template <bool Offset>
  static Multiply multiply_for(const ByteQuants& quants, std::int64_t tokens) {
    if constexpr (A::kIsWide)
      return quants.part == 32 ? multiply_for<32, 8, Offset>(tokens) : multiply_for<16, 4, Offset>(tokens);
    else if (quants.chain == 8)
      return multiply_for<32, 8, Offset>(tokens);
    else if (quants.chain == 4)
      return multiply_for<32, 4, Offset>(tokens);
    else
      return multiply_for<16, 2, Offset>(tokens);
  }
  static Multiply multiply_for(const ByteQuants& quants, std::int64_t tokens) {
    return quants.offset != 0 ? multiply_for<true>(quants, tokens) : multiply_for<false>(quants, tokens);
  }
};

template <class A>
constexpr ProductKernel byte_product(const char* name) {
  return {.arithmetic = Arithmetic::bytes,
          .name = name,
          .widens = A::kIsWide,
          .shared_bytes = ByteProduct<A>::shared_bytes,
          .thread_bytes = ByteProduct<A>::thread_bytes,
          .run = ByteProduct<A>::run};
}

}  // namespace
}  // namespace chunkkv::kernels
