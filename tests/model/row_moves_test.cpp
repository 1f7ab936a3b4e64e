// Rows that compression keeps are the bytes that were there before, and no other row changes.
#include <chunkkv/session.h>

#include "support/cache_rows.h"
#include "support/random_input.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <tuple>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNLayers = 3;
constexpr std::int32_t kNHeads = 2;

Session make_session(std::uint32_t head_dim, CacheType k, CacheType v, std::int32_t n_sequences = 1) {
  TinyModel tiny;
  tiny.head_dim = head_dim;
  auto model = Model::load(write_tiny_model(tiny, tiny_folder()));
  SessionOptions options;
  options.n_cells = 512;
  options.n_ubatch = 64;
  options.n_threads = 1;
  options.n_sequences = n_sequences;
  options.type_k = k;
  options.type_v = v;
  return Session(std::move(model), options);
}

void expect_moved(const CacheRows& before, const CacheRows& after, const std::vector<LayerKept>& kept) {
  ASSERT_EQ(after.k.size(), before.k.size());
  for (std::size_t l = 0; l < kept.size(); ++l) {
    const auto& heads = kept[l].heads;
    for (std::size_t h = 0; h < std::size_t(kNHeads); ++h) {
      const auto& list = heads[heads.size() == 1 ? 0 : h];
      ASSERT_EQ(after.k[l].size(), list.size());
      for (std::size_t i = 0; i < list.size(); ++i) {
        const auto old = std::size_t(list[i]);
        ASSERT_EQ(CacheRows::head(after.k[l][i], h, kNHeads), CacheRows::head(before.k[l][old], h, kNHeads))
            << "key of layer " << l << ", head " << h << ", entry " << i << " (was " << old << ")";
        ASSERT_EQ(CacheRows::head(after.v[l][i], h, kNHeads), CacheRows::head(before.v[l][old], h, kNHeads))
            << "value of layer " << l << ", head " << h << ", entry " << i << " (was " << old << ")";
      }
    }
  }
}

class RowMoves : public testing::TestWithParam<std::tuple<std::string, std::string, std::uint32_t, bool>> {};

TEST_P(RowMoves, EqualANaiveCopy) {
  const auto& [type_k, type_v, head_dim, per_head] = GetParam();
  const auto seed = random_seed();
  std::mt19937 random(seed);
  SCOPED_TRACE(testing::Message() << "CHUNKKV_TEST_SEED=" << seed);
  Session session = make_session(head_dim, parse_cache_type(type_k), parse_cache_type(type_v));
  session.sequence().prefill(random_tokens(random, 300));

  const CacheRows before = read_cache(session.handle(), 0);
  const auto kept = random_layers(random, kNLayers, per_head ? kNHeads : 1, 300, 77);
  session.sequence().compress(kept);
  expect_moved(before, read_cache(session.handle(), 0), kept);

  EXPECT_EQ(session.sequence().n_entries(), 77);
  EXPECT_EQ(session.sequence().next_position(), 300);
  for (std::int32_t l = 0; l < kNLayers; ++l)
    for (std::int32_t h = 0; h < kNHeads; ++h)
      EXPECT_EQ(session.sequence().positions(l, h),
                kept[std::size_t(l)].heads[per_head ? std::size_t(h) : 0]);

  // Compress once more, after further tokens and to other sets.
  for (const Token t : random_tokens(random, 30)) session.sequence().decode(t);
  const CacheRows again = read_cache(session.handle(), 0);
  const auto fewer = random_layers(random, kNLayers, kNHeads, 107, 40);
  std::vector<std::vector<Position>> expected;
  for (std::int32_t h = 0; h < kNHeads; ++h) {
    const auto all = session.sequence().positions(1, h);
    expected.emplace_back();
    for (const auto entry : fewer[1].heads[std::size_t(h)])
      expected.back().push_back(all[std::size_t(entry)]);
  }
  session.sequence().compress(fewer);
  expect_moved(again, read_cache(session.handle(), 0), fewer);
  for (std::int32_t h = 0; h < kNHeads; ++h)
    EXPECT_EQ(session.sequence().positions(1, h), expected[std::size_t(h)]);
  EXPECT_EQ(session.sequence().next_position(), 330);
}

// A Q4_0 head of 32 has 18 bytes, which is no whole number of words.
INSTANTIATE_TEST_SUITE_P(CacheTypes, RowMoves,
                         testing::Combine(testing::Values("f32", "f16", "bf16", "q8_0", "q4_0"),
                                          testing::Values("f16", "q8_0"), testing::Values(32u, 64u),
                                          testing::Bool()),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::get<1>(info.param) + "_dim" +
                                  std::to_string(std::get<2>(info.param)) +
                                  (std::get<3>(info.param) ? "_per_head" : "_shared");
                         });

TEST(RowMovesOfSequences, NeverTouchEachOther) {
  const auto seed = random_seed();
  std::mt19937 random(seed);
  SCOPED_TRACE(testing::Message() << "CHUNKKV_TEST_SEED=" << seed);
  Session session = make_session(32, CacheType::f16, CacheType::f16, 3);
  session.sequence().prefill(random_tokens(random, 100));
  session.sequence(1).prefill(random_tokens(random, 120));
  for (int i = 0; i < 40; ++i) {  // cells of two sequences in turn
    session.sequence().decode(Token(10 + i));
    session.sequence(1).decode(Token(60 + i));
  }
  const auto compress = [&](SequenceId sequence, std::int32_t count) {
    std::vector<CacheRows> before;
    for (SequenceId s = 0; s < 3; ++s) before.push_back(read_cache(session.handle(), s));
    const Position next = session.sequence(sequence).next_position();
    const auto kept = random_layers(random, kNLayers, kNHeads, session.sequence(sequence).n_entries(), count);
    session.sequence(sequence).compress(kept);
    expect_moved(before[std::size_t(sequence)], read_cache(session.handle(), sequence), kept);
    EXPECT_EQ(session.sequence(sequence).next_position(), next);
    for (SequenceId s = 0; s < 3; ++s) {
      if (s == sequence) continue;
      EXPECT_EQ(read_cache(session.handle(), s), before[std::size_t(s)]) << "sequence " << s;
    }
  };
  compress(1, 31);
  compress(0, 17);
  session.sequence(2).prefill(random_tokens(random, 200));  // into the cells that became free
  compress(2, 50);
  compress(1, 30);
  session.sequence().decode(5);
  session.sequence(1).decode(5);
  session.sequence(2).decode(5);
  compress(0, 2);
  compress(2, 51 - 1);
  EXPECT_EQ(session.use().cells_used, 2 + 31 + 50);

  // Sequence 1 can be compressed further when it is alone.
  session.sequence().clear();
  session.sequence(2).clear();
  compress(1, 10);
  const CacheRows rows = read_cache(session.handle(), 1);
  EXPECT_EQ(rows.positions.size(), 10u);
}

TEST(RowMovesOfSequences, RefuseBadKeptSets) {
  Session session = make_session(32, CacheType::f16, CacheType::f16);
  std::mt19937 random(1);
  session.sequence().prefill(random_tokens(random, 50));
  const CacheRows before = read_cache(session.handle(), 0);
  const auto refuses = [&](const std::vector<LayerKept>& layers) {
    EXPECT_THROW(session.sequence().compress(layers), UsageError);
    EXPECT_EQ(read_cache(session.handle(), 0), before);
  };
  refuses({});
  refuses(same_layers(2, {1, 2}));
  refuses(same_layers(4, {1, 2}));
  refuses(same_layers(3, {}));
  refuses(same_layers(3, {2, 1}));
  refuses(same_layers(3, {1, 1}));
  refuses(same_layers(3, {-1, 1}));
  refuses(same_layers(3, {1, 50}));
  auto three_heads = same_layers(3, {1});
  three_heads[1].heads.assign(3, {1});
  refuses(three_heads);
}

}  // namespace
}  // namespace chunkkv::test
