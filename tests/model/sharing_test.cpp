// Compares sequences that begin in the same cells with sequences that have copies.
#include <chunkkv/error.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "session/sequence_cells.h"
#include "support/eval_samples.h"
#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/tiny_model.h"
#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNSequences = 4;
// Activations are rounded to 8 bits, so that sums in another order may differ by a step.
constexpr double kSharingTolerance = 1e-2;

SessionOptions exact() {
  SessionOptions options = session_options(4096);
  options.n_sequences = kNSequences;
  options.type_k = options.type_v = CacheType::f32;  // the order in which cells are added up hardly matters
  return options;
}

/// Does the same operations on sequences that share cells and on sequences that do not.
struct SharedAndCopied {
  Session shared{tiny_model(), exact()}, copied{tiny_model(), exact()};
  std::mt19937 random{random_seed()};

  std::int32_t number(std::int32_t from, std::int32_t to) {
    return std::uniform_int_distribution<std::int32_t>(from, to)(random);
  }
  std::int32_t n_tokens(SequenceId s) const { return std::int32_t(shared.sequence(s).tokens().size()); }

  void read(SequenceId s, std::int32_t n) {
    const auto tokens = random_tokens(random, n);
    shared.sequence(s).prefill(tokens);
    copied.sequence(s).prefill(tokens);
  }

  void share(SequenceId from, std::int32_t n, SequenceId to) {
    const std::vector<Token> all = shared.sequence(from).tokens();
    const bool is_beginning = n <= shared.sequence(from).n_intact();
    shared.sequence(to).share(shared.sequence(from), n);
    if (is_beginning) {
      copied.sequence(to).clear();
      if (n > 0) copied.sequence(to).prefill(std::span(all).first(std::size_t(n)));
    } else {
      copied.sequence(to).restore(copied.sequence(from).snapshot());
      copied.sequence(to).truncate(copied.sequence(to).n_entries() - (std::int32_t(all.size()) - n));
    }
  }

  /// Compresses to random kept sets, which have the first `n_leading` entries in common.
  void compress(SequenceId s, std::int32_t count, std::int32_t n_leading) {
    const std::int32_t n = shared.sequence(s).n_entries();
    auto layers = random_layers(random, shared.n_layers(), shared.cache_parts().n_head_kv[0], n, count);
    for (LayerKept& layer : layers)
      for (auto& list : layer.heads) {
        for (std::int32_t i = 0; i < n_leading; ++i) list[std::size_t(i)] = i;
        std::int32_t least = n_leading;
        for (auto i = std::size_t(n_leading); i < list.size(); ++i)
          least = (list[i] = std::max(list[i], least)) + 1;
      }
    shared.sequence(s).compress(layers);
    copied.sequence(s).compress(layers);
  }

  void expect_alike() {
    std::vector<SequenceId> order;
    for (SequenceId s = 0; s < kNSequences; ++s) {
      ASSERT_EQ(shared.sequence(s).tokens(), copied.sequence(s).tokens());
      ASSERT_EQ(shared.sequence(s).n_entries(), copied.sequence(s).n_entries());
      for (std::int32_t layer = 0; layer < shared.n_layers(); ++layer)
        ASSERT_EQ(shared.sequence(s).positions(layer, 0), copied.sequence(s).positions(layer, 0));
      if (shared.sequence(s).n_entries() > 0) order.push_back(s);
    }
    if (order.empty()) return;
    std::map<std::size_t, std::vector<float>> logits;
    const std::vector<Token> tokens(order.size(), 17);
    copied.decode(tokens, order, [&](std::size_t i, std::span<const float> values) {
      logits[i].assign(values.begin(), values.end());
    });
    shared.decode(tokens, order, [&](std::size_t i, std::span<const float> values) {
      EXPECT_LT(relative_difference(logits[i], values), kSharingTolerance) << "sequence " << order[i];
    });
    for (const SequenceId s : order) {
      shared.sequence(s).truncate(shared.sequence(s).n_entries() - 1);
      copied.sequence(s).truncate(copied.sequence(s).n_entries() - 1);
    }
  }
};

TEST(Sharing, ReadsNothingAndTakesNoCells) {
  SharedAndCopied twins;
  twins.read(0, 300);
  twins.share(0, 300, 1);
  twins.share(0, 120, 2);
  EXPECT_EQ(twins.shared.use().cells_used, 300);
  EXPECT_EQ(twins.shared.sequence(1).use().cells_shared, 300);
  EXPECT_EQ(twins.shared.sequence(2).use().cells_shared, 120);
  twins.expect_alike();
  twins.shared.sequence().clear();
  twins.copied.sequence().clear();
  EXPECT_EQ(twins.shared.use().cells_used, 300);
  twins.shared.sequence(1).clear();
  twins.copied.sequence(1).clear();
  EXPECT_EQ(twins.shared.use().cells_used, 120);
  EXPECT_EQ(twins.shared.sequence(2).use().cells_shared, 0);
  twins.expect_alike();
}

TEST(Sharing, WhatAllKeepOfABeginningStaysShared) {
  SharedAndCopied twins;
  twins.read(0, 100);  // a system prompt
  twins.share(0, 100, 1);
  twins.read(0, 400);
  twins.read(1, 300);
  twins.compress(0, 150, 100);
  twins.compress(1, 130, 100);
  twins.expect_alike();
  EXPECT_EQ(twins.shared.use().cells_used, 100 + 50 + 30);
  EXPECT_EQ(twins.shared.sequence(1).n_intact(), 100);
  // Another sequence can still share the beginning of a compressed one.
  twins.share(1, 100, 2);
  twins.read(2, 50);
  twins.expect_alike();
  EXPECT_EQ(twins.shared.use().cells_used, 100 + 50 + 30 + 50);
}

TEST(Sharing, CompressionMovesNothingThatOthersHold) {
  SharedAndCopied twins;
  twins.read(0, 500);
  twins.share(0, 500, 1);
  twins.read(1, 20);
  twins.compress(1, 90, 0);  // more than it has cells of its own
  EXPECT_EQ(twins.shared.use().cells_used, 500 + 90);
  EXPECT_EQ(twins.shared.sequence(1).use().cells_shared, 0);
  twins.expect_alike();
  twins.share(0, 500, 2);
  twins.compress(0, 60, 3);  // the newest entry is shared as well
  twins.expect_alike();
  EXPECT_EQ(twins.shared.sequence(2).use().cells_shared, 3);
}

TEST(Sharing, RandomLivesAreThoseOfCopies) {
  SharedAndCopied twins;
  for (int i = 0; i < 150; ++i) {
    const auto s = SequenceId(twins.number(0, kNSequences - 1)),
               other = SequenceId((s + twins.number(1, 3)) % 4);
    const std::int32_t n = twins.shared.sequence(s).n_entries(), n_tokens = twins.n_tokens(s);
    const bool is_whole = n_tokens == twins.shared.sequence(s).n_intact();
    switch (twins.number(0, 3)) {
      case 0:
        if (n < 600) twins.read(s, twins.number(1, 200));
        break;
      case 1:
        if (twins.number(0, 1) == 0)
          twins.share(s, twins.number(0, twins.shared.sequence(s).n_intact()), other);
        else
          twins.share(s, is_whole ? twins.number(0, n_tokens) : n_tokens, other);
        break;
      case 2:
        if (n > 10) {
          const std::int32_t count = twins.number(2, n - 1);
          twins.compress(s, count, twins.number(0, count - 1));
        }
        break;
      default:
        if (twins.number(0, 3) == 0) {
          twins.shared.sequence(s).clear();
          twins.copied.sequence(s).clear();
        }
    }
    twins.expect_alike();
    ASSERT_LE(twins.shared.use().cells_used, twins.copied.use().cells_used);
    if (HasFatalFailure() || HasNonfatalFailure()) FAIL() << "after " << i + 1 << " steps";
  }
}

TEST(Sharing, SaysWhatCannotBe) {
  Session session(tiny_model(), exact());
  std::mt19937 random(random_seed());
  session.sequence().prefill(random_tokens(random, 100));
  EXPECT_THROW(session.sequence(0).share(session.sequence(0), 50), UsageError);
  EXPECT_THROW(session.sequence(1).share(session.sequence(0), 101), UsageError);
  EXPECT_THROW(session.sequence(1).share(session.sequence(0), -1), UsageError);
  EXPECT_THROW(session.sequence(9).share(session.sequence(0), 1), UsageError);
  session.sequence().compress(random_layers(random, session.n_layers(), 1, 100, 30));
  expect_mentions(message_of<UsageError>([&] { session.sequence(1).share(session.sequence(0), 99); }),
                  {"since the last compression"});
  session.sequence(1).share(session.sequence(0), 100);
  EXPECT_EQ(session.sequence(1).n_entries(), 30);

  SessionOptions small = exact();
  small.n_cells = 256;
  Session full(tiny_model(), small);
  full.sequence().prefill(random_tokens(random, 250));
  full.sequence(1).share(full.sequence(0), 250);
  std::vector<std::int32_t> last(100);
  std::iota(last.begin(), last.end(), 150);
  const auto layers = same_layers(full.n_layers(), last);
  expect_mentions(message_of<UsageError>([&] { full.sequence(1).compress(layers); }),
                  {"100 cells", "6 are free", "-c"});
  EXPECT_EQ(full.sequence(1).n_entries(), 250);
}

TEST(Sharing, ModelsThatForgetNeedCopies) {
  for (const MixedModel& named : mixed_models()) {
    SessionOptions options = session_options(1024);
    options.n_sequences = 2;
    Session session(Model::load(write_tiny_model(named.model, tiny_folder())), options);
    std::mt19937 random(random_seed());
    session.sequence().prefill(random_tokens(random, 40));
    EXPECT_EQ(session.can_share(), session.cache_parts().n_window + session.cache_parts().n_state == 0);
    if (!session.can_share()) {
      EXPECT_THROW(session.sequence(1).share(session.sequence(0), 40), UsageError) << named.name;
    }
  }
}

/// The sequence holds cells 0 to 5 together with another one, and 6 and 9 alone. The last argument is how
/// many first entries are kept in their places.
TEST(Sharing, PlansOwnCellsForWhatMoves) {
  SequenceCells cells;
  const std::int32_t held[] = {0, 1, 2, 3, 4, 5, 6, 9};
  cells.append(held);
  const std::vector<bool> taken{true, true, true, true, true, true, false, true, false, false, false};
  EXPECT_EQ(entries_to_own(cells, 4, taken, 2), (std::vector<std::int32_t>{}));
  EXPECT_EQ(entries_to_own(cells, 5, taken, 2), (std::vector<std::int32_t>{5}));
  EXPECT_EQ(entries_to_own(cells, 4, taken, 0), (std::vector<std::int32_t>{5, 4}));
  EXPECT_EQ(entries_to_own(cells, 8, taken, 8), (std::vector<std::int32_t>{5, 4, 3, 2, 1, 0}));
  const CompactionPlan plan = plan_compaction(cells, 4, taken, 2);
  EXPECT_EQ(plan.n_fixed, 2);
  ASSERT_EQ(plan.slots.size(), 4u);
  EXPECT_EQ(plan.slots[1].cell, 1);
  EXPECT_EQ(plan.slots[2].cell, 6);
  EXPECT_EQ(plan.slots[3].row, 9);
  EXPECT_EQ(plan.slots[3].cell, 8);
  EXPECT_EQ(plan.relocated, (std::vector<Position>{7}));
}

}  // namespace
}  // namespace chunkkv::test
