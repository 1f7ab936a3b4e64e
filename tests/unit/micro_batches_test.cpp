// Tokens that are read in several calls are grouped into micro-batches as in one call.
#include "session/micro_batches.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace chunkkv::test {
namespace {

std::vector<std::size_t> micro_batches(std::size_t done, std::size_t n_tokens, std::size_t n_ubatch) {
  std::vector<std::size_t> sizes;
  while (done < n_tokens) {
    sizes.push_back(next_micro_batch(done, n_tokens - done, n_ubatch));
    done += sizes.back();
  }
  EXPECT_EQ(done, n_tokens);
  return sizes;
}

/// The tokens at which the tiles of queries that are computed together begin, from token `done` on.
std::vector<std::size_t> tiles(std::size_t done, std::size_t n_tokens, std::size_t n_ubatch) {
  std::vector<std::size_t> begins;
  for (const std::size_t size : micro_batches(done, n_tokens, n_ubatch)) {
    for (std::size_t i = 0; i < size; i += kQueryTile) begins.push_back(done + i);
    done += size;
  }
  return begins;
}

/// Whether the tokens from `cut` on are grouped in the same way when those before were read in another call.
bool is_separable(std::size_t cut, std::size_t n_tokens, std::size_t n_ubatch) {
  std::vector<std::size_t> rest = tiles(0, n_tokens, n_ubatch);
  const auto first = std::find(rest.begin(), rest.end(), cut);
  rest.erase(rest.begin(), first);
  return rest == tiles(cut, n_tokens, n_ubatch);
}

using Sizes = std::vector<std::size_t>;

TEST(MicroBatches, ByHand) {
  EXPECT_EQ(micro_batches(0, 1200, 512), (Sizes{512, 512, 176}));
  EXPECT_EQ(micro_batches(0, 1030, 512), (Sizes{512, 454, 64}));  // a rest of 6 is too small
  EXPECT_EQ(micro_batches(512, 1030, 512), (Sizes{454, 64}));
  EXPECT_EQ(micro_batches(500, 1030, 512), (Sizes{466, 64}));  // 12 to the next multiple are too few
  EXPECT_EQ(micro_batches(400, 1200, 512), (Sizes{112, 512, 176}));
  EXPECT_EQ(micro_batches(0, 70, 64), (Sizes{64, 6}));  // no room for another cut
  EXPECT_EQ(micro_batches(0, 3, 1), (Sizes{1, 1, 1}));
}

TEST(MicroBatches, SeparableLengthsByHand) {
  EXPECT_EQ(separable_length(128, 32, 512), 0U);
  EXPECT_EQ(separable_length(129, 32, 512), 0U);
  EXPECT_EQ(separable_length(192, 32, 512), 64U);
  EXPECT_EQ(separable_length(1000, 300, 512), 640U);
  EXPECT_EQ(separable_length(1000, 32, 100), 800U);  // a micro-batch of 100 is no whole number of tiles
  EXPECT_EQ(shared_length(1100, 1300, 512), 512U);   // one micro-batch more must remain
  EXPECT_EQ(shared_length(1100, 1600, 512), 1024U);
  EXPECT_EQ(shared_length(300, 400, 512), 0U);
}

TEST(MicroBatches, WhatIsReadInTwoCallsIsGroupedAsInOne) {
  std::mt19937 random(random_seed());
  const auto number = [&](std::size_t from, std::size_t to) {
    return std::uniform_int_distribution<std::size_t>(from, to)(random);
  };
  std::size_t n_cut = 0, n_shared = 0;
  for (std::size_t i = 0; i < 20000; ++i) {
    const std::size_t n_ubatch = i % 3 == 0 ? number(1, 700) : 64 * number(1, 16);
    const std::size_t n_tokens = number(1, 3000), n_observed = number(0, 300);
    if (const std::size_t cut = separable_length(n_tokens, n_observed, n_ubatch); cut > 0) {
      ++n_cut;
      ASSERT_LE(cut + n_observed, n_tokens);
      ASSERT_TRUE(is_separable(cut, n_tokens, n_ubatch)) << cut << " of " << n_tokens << ", " << n_ubatch;
    }
    if (const std::size_t cut = shared_length(number(1, n_tokens), n_tokens, n_ubatch); cut > 0) {
      ++n_shared;
      for (const std::size_t n : {n_tokens, n_tokens + number(0, 3000)})
        ASSERT_TRUE(is_separable(cut, n, n_ubatch)) << cut << " of " << n << ", " << n_ubatch;
    }
  }
  EXPECT_GT(n_cut, 1000U);
  EXPECT_GT(n_shared, 1000U);
  EXPECT_FALSE(is_separable(100, 1000, 512));  // the check can fail
}

}  // namespace
}  // namespace chunkkv::test
