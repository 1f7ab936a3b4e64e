// The kernel sets on vectors and tiles in plain C++, for tests.
#include "kernels/attention_bf16.h"
#include "kernels/attention_f32.h"
#include "kernels/attention_pairs.h"
#include "kernels/attention_shape.h"
#include "kernels/bf16_pairs.h"
#include "kernels/byte_quads.h"
#include "kernels/decode_attention_shape.h"
#include "kernels/integer_keys.h"
#include "kernels/kernel_set.h"
#include "kernels/row_statistics_shape.h"
#include "kernels/similar_keys_shape.h"
#include "kernels/soft_max_shape.h"
#include "kernels/token_rows_shape.h"
#include "kernels/word_pairs.h"

#include <cmath>

namespace chunkkv::kernels {
namespace {

/// The F16 number nearest to `x`, ties to even. Without branches, so that the compiler makes vectors of it.
CHUNKKV_INLINE float nearest_half(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits &= std::uint64_t(0x7ff) << 52;
  double power;
  std::memcpy(&power, &bits, sizeof power);
  // What the last bit that stays is worth; denormal numbers share one. In a sum with `shift` all lower bits
  // are lost.
  const double unit = power * 0x1p-10 > 0x1p-24 ? power * 0x1p-10 : 0x1p-24;
  const double shift = unit * 0x1.8p52;
  const double nearest = (x + shift) - shift;
  return float(std::copysign(std::fabs(x) < 65520 ? nearest : x * HUGE_VAL, x));
}

/// The bits of an F16 number.
CHUNKKV_INLINE std::uint16_t half_bits(float number) {
  const float scaled = number * 0x1p-112f;  // corrects the bias of the exponent
  std::uint32_t bits;
  std::memcpy(&bits, &scaled, sizeof bits);
  return std::uint16_t((bits >> 13 & 0x7fff) | (bits >> 16 & 0x8000));
}

struct EmulatedHalves : HalfPairRules {
  using V = Vectors<16>;
  using F = V::F;
  struct Pairs {
    float numbers[32];
  };
  using Sums = Pairs;

  static Pairs load(const char* from) {
    Pairs x;
    V::store(x.numbers, V::from_half(from));
    V::store(x.numbers + 16, V::from_half(from + 32));
    return x;
  }
  static Pairs all(const char* pair) {
    char pairs[64];
    for (int i = 0; i < 16; ++i) std::memcpy(pairs + 4 * i, pair, 4);
    return load(pairs);
  }
  static Pairs fused(const Pairs& a, const Pairs& b, const Pairs& c) {
    Pairs x;
    for (int i = 0; i < 32; ++i)
      x.numbers[i] = nearest_half(double(a.numbers[i]) * double(b.numbers[i]) + double(c.numbers[i]));
    return x;
  }
  static Sums zero() { return {}; }
  template <bool Add>
  static Sums start(const float*) {
    return zero();
  }
  template <bool Add>
  static void finish(const Sums& sums, float* to) {
    for (int i = 0; i < 16; ++i)
      to[i] = (Add ? to[i] : 0.0f) + (sums.numbers[2 * i] + sums.numbers[2 * i + 1]);
  }
  static F sum_of_halves(const Sums& x) { return V::load(x.numbers) + V::load(x.numbers + 16); }
  static void round(F x, char* to) {
    for (int i = 0; i < 16; ++i) {
      const std::uint16_t half = half_bits(nearest_half(double(x[i])));
      std::memcpy(to + 2 * i, &half, sizeof half);
    }
  }
  static void round_pairs(F a, F b, char* to) {
    F unused{};
    store_weights(a, b, to, unused);
  }
  static void store_weights(F a, F b, char* to, F& sum) {
    for (int i = 0; i < 16; ++i) {
      const float even = nearest_half(double(a[i])), odd = nearest_half(double(b[i]));
      const std::uint16_t pair[2] = {half_bits(even), half_bits(odd)};
      std::memcpy(to + 4 * i, pair, sizeof pair);
      sum[i] += even + odd;
    }
  }
};

const std::vector<KernelSet>& emulated_kernel_sets() {
  using Wide = SinglePrecision<Vectors<16>, 8, 2>;
  using Narrow = SinglePrecision<Vectors<8>, 4, 3>;
  static const std::vector<KernelSet> sets{
      {.attention = attention_kernel<TilePrecision<EmulatedTiles>>("AMX-BF16, emulated"),
       .similar_keys = similar_keys_kernel<TilePrecision<EmulatedTiles>>("AMX-BF16, emulated")},
      {.similar_keys = similar_keys_kernel<IntegerKeys<ByteQuads<16>, 8, 2>>("AVX512-VNNI, emulated")},
      {.similar_keys = similar_keys_kernel<IntegerKeys<ByteQuads<8>, 4, 2>>("AVX-VNNI, emulated")},
      {.attention = attention_kernel<PairPrecision<EmulatedHalves>>("AVX512-FP16, emulated")},
      {.attention = attention_kernel<PairPrecision<Bf16Pairs>>("AVX512-BF16, emulated")},
      {.attention = attention_kernel<Wide>("AVX-512, emulated"),
       .decode_attention = decode_attention_kernel<Vectors<16>>("AVX-512, emulated"),
       .similar_keys = similar_keys_kernel<IntegerKeys<WordPairs<16>, 8, 2>>("AVX-512, emulated"),
       .row_statistics = row_statistics_kernel<Vectors<16>>("AVX-512, emulated"),
       .soft_max = soft_max_kernel<Vectors<16>>("AVX-512, emulated"),
       .token_rows = token_rows_kernel<Vectors<16>>("AVX-512, emulated")},
      {.attention = attention_kernel<Narrow>("AVX2, emulated"),
       .decode_attention = decode_attention_kernel<Vectors<8>>("AVX2, emulated"),
       .similar_keys = similar_keys_kernel<IntegerKeys<WordPairs<8>, 4, 2>>("AVX2, emulated"),
       .row_statistics = row_statistics_kernel<Vectors<8>>("AVX2, emulated"),
       .soft_max = soft_max_kernel<Vectors<8>>("AVX2, emulated"),
       .token_rows = token_rows_kernel<Vectors<8>>("AVX2, emulated")}};
  return sets;
}

}  // namespace

const std::vector<AttentionKernel>& emulated_attention_kernels() {
  static const auto kernels = kernels_of(emulated_kernel_sets(), &KernelSet::attention);
  return kernels;
}

const std::vector<DecodeAttentionKernel>& emulated_decode_attention_kernels() {
  static const auto kernels = kernels_of(emulated_kernel_sets(), &KernelSet::decode_attention);
  return kernels;
}

const std::vector<SimilarKeysKernel>& emulated_similar_keys_kernels() {
  static const auto kernels = kernels_of(emulated_kernel_sets(), &KernelSet::similar_keys);
  return kernels;
}

const std::vector<RowStatisticsKernel>& emulated_row_statistics_kernels() {
  static const auto kernels = kernels_of(emulated_kernel_sets(), &KernelSet::row_statistics);
  return kernels;
}

const std::vector<SoftMaxKernel>& emulated_soft_max_kernels() {
  static const auto kernels = kernels_of(emulated_kernel_sets(), &KernelSet::soft_max);
  return kernels;
}

const std::vector<TokenRowsKernel>& emulated_token_rows_kernels() {
  static const auto kernels = kernels_of(emulated_kernel_sets(), &KernelSet::token_rows);
  return kernels;
}

}  // namespace chunkkv::kernels
