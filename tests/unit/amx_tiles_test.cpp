#include "kernels/amx_tiles.h"

#include "unit/bf16_numbers.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

namespace chunkkv::kernels {
namespace {

using Rows = std::array<std::uint32_t, 256>;

template <class T>
std::array<float, 256> product_of(const Rows& a, const Rows& b, const std::array<float, 256>& c) {
  const TileScope<T> scope;
  std::array<float, 256> out{};
  T::template load<0>(c.data(), 64);
  T::template load<1>(a.data(), 64);
  T::template load<2>(b.data(), 64);
  T::template multiply<0, 1, 2>();
  T::template store<0>(out.data(), 64);
  return out;
}

template <class T>
class AmxTiles : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::is_same_v<T, EmulatedTiles> && !has_amx()) GTEST_SKIP() << "this processor has no AMX";
  }
};

#ifdef __x86_64__
using Kinds = testing::Types<EmulatedTiles, Tiles>;
#else
using Kinds = testing::Types<EmulatedTiles>;
#endif
TYPED_TEST_SUITE(AmxTiles, Kinds);

/// Small whole numbers are exact in BF16, and so are their sums in F32.
TYPED_TEST(AmxTiles, WholeNumbersAreMultipliedExactly) {
  std::mt19937 rng(test::random_seed());
  std::uniform_int_distribution<int> number(-9, 9);
  Rows a{}, b{};
  std::array<float, 256> c{};
  for (auto& x : a) x = pair_of(float(number(rng)), float(number(rng)));
  for (auto& x : b) x = pair_of(float(number(rng)), float(number(rng)));
  for (auto& x : c) x = float(number(rng));
  const auto out = product_of<TypeParam>(a, b, c);
  for (std::size_t m = 0; m < 16; ++m)
    for (std::size_t n = 0; n < 16; ++n) {
      float expected = c[16 * m + n];
      for (std::size_t k = 0; k < 16; ++k)
        expected += low(a[16 * m + k]) * low(b[16 * k + n]) + high(a[16 * m + k]) * high(b[16 * k + n]);
      ASSERT_EQ(out[16 * m + n], expected) << "row " << m << ", column " << n;
    }
}

/// The products of the even halves are 2^24, 1 and 1: added one after the other, each 1 is lost. The sum of
/// the odd halves is added next, and what was in the tile last.
TYPED_TEST(AmxTiles, SumsAreRoundedInTheOrderOfTheManual) {
  Rows a{}, b{};
  std::array<float, 256> c{};
  for (std::size_t k = 0; k < 3; ++k) a[k] = pair_of(k == 0 ? 16777216.0f : 1.0f, 1.0f);
  for (std::size_t k = 0; k < 3; ++k) b[16 * k] = pair_of(1.0f, 1.0f);
  c[0] = 0.5f;
  // even: 2^24 + 1 + 1 = 2^24 (ties to even); odd: 3; sum: 2^24 + 4 (3 is a tie, to even); 0.5 is lost.
  EXPECT_EQ(product_of<TypeParam>(a, b, c)[0], 16777220.0f);
}

TYPED_TEST(AmxTiles, DenormalNumbersCountAsZero) {
  Rows a{}, b{};
  std::array<float, 256> c{};
  const float tiny = std::bit_cast<float>(0x00400000u);
  a[0] = pair_of(tiny, 0x1p-100f);
  b[0] = pair_of(0x1p100f, 0x1p-30f);  // the second product is below the smallest normal number
  c[0] = tiny;
  EXPECT_EQ(product_of<TypeParam>(a, b, c)[0], 0.0f);
}

TYPED_TEST(AmxTiles, NotANumberStaysInItsRowOrColumn) {
  Rows a{}, b{};
  a[16 * 3 + 2] = pair_of(std::numeric_limits<float>::quiet_NaN(), 1);
  b.fill(pair_of(1, 1));
  const auto out = product_of<TypeParam>(a, b, {});
  for (std::size_t m = 0; m < 16; ++m)
    for (std::size_t n = 0; n < 16; ++n) ASSERT_EQ(std::isnan(out[16 * m + n]), m == 3);
}

TYPED_TEST(AmxTiles, AScopeBringsBackTheConfiguration) {
  TileConfig other = TileConfig::whole();
  other.rows[5] = 7;
  other.row_bytes[5] = 20;
  const TileConfig before = TypeParam::config();
  TypeParam::configure(other);
  {
    const TileScope<TypeParam> scope;
    EXPECT_EQ(TypeParam::config().rows[5], 16);
  }
  const TileConfig after = TypeParam::config();
  EXPECT_EQ(after.palette, 1);
  EXPECT_EQ(after.rows[5], 7);
  EXPECT_EQ(after.row_bytes[5], 20);
  TypeParam::configure(before);
  EXPECT_EQ(TypeParam::config().palette, before.palette);
}

/// Normally distributed operands; in every other round their products are near the smallest normal number.
TEST(AmxTiles, TheEmulationIsTheProcessorBitForBit) {
  if (!has_amx()) GTEST_SKIP() << "this processor has no AMX";
#ifdef __x86_64__
  std::mt19937 rng(test::random_seed());
  for (int round = 0; round < 100; ++round) {
    Rows a{}, b{};
    std::array<float, 256> c{};
    std::normal_distribution<float> number(0, round % 2 == 0 ? 1.0f : 1e-19f);
    for (auto& x : a) x = pair_of(number(rng), number(rng));
    for (auto& x : b) x = pair_of(number(rng), number(rng));
    for (auto& x : c) x = number(rng);
    ASSERT_EQ(product_of<Tiles>(a, b, c), product_of<EmulatedTiles>(a, b, c)) << "round " << round;
  }
#endif
}

}  // namespace
}  // namespace chunkkv::kernels
