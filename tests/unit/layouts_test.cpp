// Weights are laid out here as the engine's layouts are described, and read back.
#include "kernels/layouts.h"

#include "kernels/amx_layouts.h"
#include "kernels/product.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace chunkkv::kernels {
namespace {

/// The F16 bits of 2^exponent, for small exponents.
std::uint16_t half_of(int exponent) {
  return std::uint16_t((exponent + 15) << 10);
}

void put_half(char* to, int exponent) {
  const std::uint16_t bits = half_of(exponent);
  std::memcpy(to, &bits, sizeof bits);
}

int exponent_of(int o) {
  return o % 7 - 3;
}

/// A block of 16 outputs with random numbers, and the weights that must be read from it.
struct AmxBlock {
  int depth;
  std::vector<char> bytes;
  std::vector<int> numbers = std::vector<int>(std::size_t(16 * depth));  // [output][depth]
  std::vector<float> expected = std::vector<float>(std::size_t(16 * depth));

  AmxBlock(int d, std::size_t size, int least, int most, test::Random& random) : depth(d), bytes(size) {
    for (int& n : numbers) n = random.integer(least, most);
  }
  int number(int o, int k) const { return numbers[std::size_t(o * depth + k)]; }
  unsigned char& byte(std::size_t i) { return reinterpret_cast<unsigned char&>(bytes[i]); }

  /// Stores the lower 4 bits of all numbers, two in a byte: those at depths k and k + 4 of every 8.
  void put_low_bits() {
    for (int o = 0; o < 16; ++o)
      for (int k = 0; k < depth; ++k)
        byte(std::size_t(k / 8 * 64 + 4 * o + k % 4)) |=
            static_cast<unsigned char>((number(o, k) & 15) << (k % 8 / 4 * 4));
  }
  /// Stores the factors 2^exponent of the outputs at `at`: exponent_of(output + shift).
  void put_factors(std::size_t at, int shift = 0) {
    for (int o = 0; o < 16; ++o) put_half(bytes.data() + at + 2 * o, exponent_of(o + shift));
  }
  /// Stores random scales of `parts` of the depth at `at`, and returns them: [part][output].
  std::vector<int> put_scales(std::size_t at, int parts, int least, int most, test::Random& random) {
    std::vector<int> scales(std::size_t(16 * parts));
    for (std::size_t i = 0; i < scales.size(); ++i) {
      scales[i] = random.integer(least, most);
      byte(at + i) = static_cast<unsigned char>(scales[i]);
    }
    return scales;
  }
  void expect(const std::function<float(int o, int k)>& value) {
    for (int o = 0; o < 16; ++o)
      for (int k = 0; k < depth; ++k) expected[std::size_t(o * depth + k)] = value(o, k);
  }
  void check(void (*read)(const char*, ToFloat, float*, std::int64_t)) const {
    std::vector<float> out(std::size_t(16 * depth));
    read(bytes.data(), nullptr, out.data(), 16);
    for (int o = 0; o < 16; ++o)
      for (int k = 0; k < depth; ++k)
        ASSERT_EQ(out[std::size_t(k * 16 + o)], expected[std::size_t(o * depth + k)])
            << "output " << o << ", depth " << k;
  }
};

TEST(AmxLayouts, Q4) {
  test::Random random;
  for (const bool with_min : {false, true}) {
    AmxBlock block(32, with_min ? 320 : 288, 0, 15, random);
    block.put_low_bits();
    block.put_factors(256);
    if (with_min) block.put_factors(288, 2);
    block.expect([&](int o, int k) {
      const float d = std::ldexp(1.0f, exponent_of(o));
      return with_min ? d * float(block.number(o, k)) + std::ldexp(1.0f, exponent_of(o + 2))
                      : d * float(block.number(o, k) - 8);
    });
    block.check(with_min ? read_amx_q4_1 : read_amx_q4_0);
  }
}

TEST(AmxLayouts, Q8) {
  test::Random random;
  AmxBlock block(32, 608, -128, 127, random);
  block.put_factors(512);
  for (int o = 0; o < 16; ++o)
    for (int k = 0; k < 32; ++k)
      block.byte(std::size_t(k / 4 * 64 + 4 * o + k % 4)) = static_cast<unsigned char>(block.number(o, k));
  block.expect([&](int o, int k) { return std::ldexp(float(block.number(o, k)), exponent_of(o)); });
  block.check(read_amx_q8_0);
}

TEST(AmxLayouts, Q4KAndQ5K) {
  test::Random random;
  for (const bool five : {false, true}) {
    AmxBlock block(256, five ? 2880 : 2368, 0, five ? 31 : 15, random);
    block.put_low_bits();
    const std::size_t scales = five ? 2560 : 2048, mins = scales + 128, factors = scales + 256;
    block.put_factors(factors);
    block.put_factors(factors + 32, 3);
    const std::vector<int> scale = block.put_scales(scales, 8, 0, 63, random);
    std::vector<int> min(128);
    for (int o = 0; o < 16; ++o) {
      for (int p = 0; p < 8; ++p) {
        const auto at = std::size_t(16 * p + o);
        min[at] = random.integer(0, 63);
        block.byte(mins + std::size_t(p / 2 * 32 + 2 * o + p % 2)) = static_cast<unsigned char>(min[at]);
      }
      if (five)
        for (int k = 0; k < 256; ++k)
          block.byte(std::size_t(2048 + k / 32 * 64 + 4 * o + k % 4)) |=
              static_cast<unsigned char>((block.number(o, k) >> 4) << (k % 32 / 4));
    }
    block.expect([&](int o, int k) {
      const auto at = std::size_t(k / 32 * 16 + o);
      return std::ldexp(float(scale[at] * block.number(o, k)), exponent_of(o)) -
             std::ldexp(float(min[at]), exponent_of(o + 3));
    });
    block.check(five ? read_amx_q5_k : read_amx_q4_k);
  }
}

TEST(AmxLayouts, Q6K) {
  test::Random random;
  AmxBlock block(256, 3360, 0, 63, random);
  block.put_low_bits();
  block.put_factors(3328);
  const std::vector<int> scale = block.put_scales(3072, 16, -128, 127, random);
  for (int o = 0; o < 16; ++o)
    for (int k = 0; k < 256; ++k)
      block.byte(std::size_t(2048 + k / 16 * 64 + 4 * o + k % 4)) |=
          static_cast<unsigned char>((block.number(o, k) >> 4) << (k % 16 / 4 * 2));
  block.expect([&](int o, int k) {
    return std::ldexp(float(scale[std::size_t(k / 16 * 16 + o)] * (block.number(o, k) - 32)), exponent_of(o));
  });
  block.check(read_amx_q6_k);
}

TEST(AmxLayouts, Iq4Xs) {
  constexpr int values[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  test::Random random;
  AmxBlock block(256, 2208, 0, 15, random);
  block.put_low_bits();
  block.put_factors(2176);
  const std::vector<int> scale = block.put_scales(2048, 8, -32, 31, random);
  block.expect([&](int o, int k) {
    return std::ldexp(float(scale[std::size_t(k / 32 * 16 + o)] * values[block.number(o, k)]),
                      exponent_of(o));
  });
  block.check(read_amx_iq4_xs);
}

TEST(AmxLayouts, HalvesOfEveryKind) {
  const std::vector<std::pair<std::uint16_t, float>> halves = {
      {0x0000, 0.0f},     {0x8000, -0.0f},    {0x3c00, 1.0f},        {0xc000, -2.0f},   {0x3555, 0.33325195f},
      {0x7bff, 65504.0f}, {0x0001, 0x1p-24f}, {0x83ff, -0x3ffp-24f}, {0x7c00, INFINITY}};
  std::vector<char> bytes(32);
  for (std::size_t i = 0; i < halves.size(); ++i) std::memcpy(bytes.data() + 2 * i, &halves[i].first, 2);
  const Floats read = halves_at(bytes.data());
  for (std::size_t i = 0; i < halves.size(); ++i) EXPECT_EQ(read[i], halves[i].second) << i;
}

/// The function that unpacks a type's plain blocks gets their bytes as they were, whatever is in them.
TEST(InterleavedLayouts, GiveThePlainBlocksBack) {
  if (product_kernel(Arithmetic::words) == nullptr) GTEST_SKIP() << "this processor has no AVX2";
  test::Random random;
  struct Kind {
    const char* type;
    int depth, factors, numbers;  // a plain block has the bytes of its factors first
    bool flipped;
  };
  for (const Kind& kind :
       {Kind{"q4_0", 32, 2, 16, true}, Kind{"iq4_nl", 32, 2, 16, false}, Kind{"mxfp4", 32, 1, 16, false}}) {
    const BlockLayout& layout = *interleaved_layout(kind.type);
    const int size = kind.factors + kind.numbers;
    ASSERT_EQ(layout.bytes, std::size_t(8 * size));
    std::vector<unsigned char> plain(std::size_t(8 * size)), packed(plain.size());
    for (auto& byte : plain) byte = static_cast<unsigned char>(random.integer(0, 255));
    for (int r = 0; r < 8; ++r)
      for (int i = 0; i < size; ++i) {
        const int j = i - kind.factors;
        const int to = j < 0 ? kind.factors * r + i : 8 * kind.factors + (j / 8 * 8 + r) * 8 + j % 8;
        packed[std::size_t(to)] = static_cast<unsigned char>(plain[std::size_t(size * r + i)] ^
                                                             (j >= 0 && kind.flipped ? 0x88 : 0));
      }
    std::vector<float> out(8 * 32);
    layout.read(
        reinterpret_cast<const char*>(packed.data()),
        [](const void* from, float* to, std::int64_t) {
          for (int i = 0; i < 17; ++i) to[i] = float(static_cast<const unsigned char*>(from)[i]);
        },
        out.data(), 32);
    for (int r = 0; r < 8; ++r)
      for (int i = 0; i < 17; ++i)
        ASSERT_EQ(out[std::size_t(32 * r + i)], float(plain[std::size_t(size * r + i)])) << kind.type;
  }
}

}  // namespace
}  // namespace chunkkv::kernels
