// The kernel sets on vectors and tiles in plain C++, for tests.
#include "kernels/attention_bf16.h"
#include "kernels/attention_f16.h"
#include "kernels/attention_f32.h"
#include "kernels/attention_shape.h"
#include "kernels/decode_attention_shape.h"
#include "kernels/kernel_set.h"
#include "kernels/row_statistics_shape.h"
#include "kernels/similar_keys_shape.h"

#include <cmath>

namespace chunkkv::kernels {
namespace {

/// Rounds to F16 in one step: to nearest, ties to even.
std::uint16_t half_of(double x) {
  const auto sign = std::uint16_t(std::signbit(x) ? 0x8000 : 0);
  const double magnitude = std::fabs(x);
  if (std::isnan(x)) return std::uint16_t(sign | 0x7e00);
  if (magnitude >= 65520) return std::uint16_t(sign | 0x7c00);
  if (magnitude < 0x1p-14) return std::uint16_t(sign | std::uint16_t(std::nearbyint(magnitude * 0x1p24)));
  std::uint64_t bits;
  std::memcpy(&bits, &magnitude, sizeof bits);
  bits += (std::uint64_t(1) << 41) - 1 + (bits >> 42 & 1);  // 10 of the 52 bits of the fraction stay
  return std::uint16_t(sign | ((bits >> 42) - (std::uint64_t(1023 - 15) << 10)));
}

float float_of(std::uint16_t half) {
  std::uint32_t bits = std::uint32_t(half & 0x7fff) << 13;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  x *= 0x1p112f;  // corrects the bias of the exponent; denormal numbers become normal
  if ((half & 0x7c00) == 0x7c00) x = (half & 0x3ff) == 0 ? HUGE_VALF : NAN;
  return (half & 0x8000) != 0 ? -x : x;
}

struct EmulatedHalves {
  using F = Vectors<16>::F;
  struct Pairs {
    std::uint16_t halves[32];
  };

  static Pairs zero() { return {}; }
  static Pairs load(const char* from) {
    Pairs x;
    std::memcpy(&x, from, sizeof x);
    return x;
  }
  static Pairs all(const char* pair) {
    Pairs x;
    for (int i = 0; i < 16; ++i) std::memcpy(x.halves + 2 * i, pair, 4);
    return x;
  }
  static Pairs fused(const Pairs& a, const Pairs& b, const Pairs& c) {
    Pairs x;
    for (int i = 0; i < 32; ++i)
      x.halves[i] = half_of(double(float_of(a.halves[i])) * double(float_of(b.halves[i])) +
                            double(float_of(c.halves[i])));
    return x;
  }
  static F sum_of_pairs(const Pairs& x) {
    F sum{};
    for (int i = 0; i < 16; ++i) sum[i] = float_of(x.halves[2 * i]) + float_of(x.halves[2 * i + 1]);
    return sum;
  }
  static void to_half(F x, char* to) {
    for (int i = 0; i < 16; ++i) {
      const std::uint16_t half = half_of(double(x[i]));
      std::memcpy(to + 2 * i, &half, sizeof half);
    }
  }
  static void to_pairs(F a, F b, char* to, F& sum) {
    for (int i = 0; i < 16; ++i) {
      const std::uint16_t pair[2] = {half_of(double(a[i])), half_of(double(b[i]))};
      std::memcpy(to + 4 * i, pair, sizeof pair);
      sum[i] += float_of(pair[0]) + float_of(pair[1]);
    }
  }
};

const std::vector<KernelSet>& emulated_kernel_sets() {
  using Wide = SinglePrecision<Vectors<16>, 8, 3>;
  using Narrow = SinglePrecision<Vectors<8>, 4, 3>;
  static const std::vector<KernelSet> sets{
      {.attention = attention_kernel<TilePrecision<EmulatedTiles>>("AMX-BF16, emulated"),
       .similar_keys = similar_keys_kernel<TilePrecision<EmulatedTiles>>("AMX-BF16, emulated")},
      {.attention = attention_kernel<HalfPrecision<EmulatedHalves>>("AVX512-FP16, emulated")},
      {.attention = attention_kernel<Wide>("AVX-512, emulated"),
       .decode_attention = decode_attention_kernel<Vectors<16>>("AVX-512, emulated"),
       .similar_keys = similar_keys_kernel<Wide>("AVX-512, emulated"),
       .row_statistics = row_statistics_kernel<Vectors<16>>("AVX-512, emulated")},
      {.attention = attention_kernel<Narrow>("AVX2, emulated"),
       .decode_attention = decode_attention_kernel<Vectors<8>>("AVX2, emulated"),
       .similar_keys = similar_keys_kernel<Narrow>("AVX2, emulated"),
       .row_statistics = row_statistics_kernel<Vectors<8>>("AVX2, emulated")}};
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

}  // namespace chunkkv::kernels
