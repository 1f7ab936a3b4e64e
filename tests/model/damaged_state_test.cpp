// Restoring a damaged snapshot throws an Error before the engine sees it. The sequence is empty then, and the
// session works on.
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/random_input.h"
#include "support/tiny.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

namespace chunkkv::test {
namespace {

SessionOptions options(CacheType type = CacheType::f16, bool flash_attention = true) {
  SessionOptions options;
  options.n_cells = 256;
  options.n_threads = 1;
  options.type_k = options.type_v = type;
  options.flash_attention = flash_attention;
  return options;
}

void overwrite(std::vector<std::byte>& state, std::size_t offset, std::uint32_t value) {
  std::memcpy(state.data() + offset, &value, sizeof value);
}

class DamagedState : public testing::Test {
 protected:
  void SetUp() override {
    session.sequence().prefill(prompt);
    session.sequence().compress(random_layers(random, 3, 2, 60, 20));
    session.sequence().decode(5);
    good = session.sequence().snapshot();
  }

  void expect_refused(const Snapshot& bad, const std::string& what) {
    EXPECT_THROW(session.sequence().restore(bad), Error) << what;
    EXPECT_EQ(session.sequence().n_entries(), 0) << what;
    EXPECT_TRUE(session.sequence().tokens().empty()) << what;
    session.sequence().prefill(prompt);
    session.sequence().restore(good);
    session.sequence().decode(6);
    EXPECT_EQ(session.sequence().n_entries(), good.n_entries + 1) << what;
  }

  std::mt19937 random{random_seed()};
  std::vector<Token> prompt = random_tokens(random, 60);
  Session session{tiny(), options()};
  Snapshot good;
};

TEST_F(DamagedState, WhatIsKnownOfTheCacheMustFit) {
  const std::vector<std::pair<const char*, std::function<void(Snapshot&)>>> faults = {
      {"rank too high", [](Snapshot& s) { s.order[0] = 100000; }},
      {"rank negative", [](Snapshot& s) { s.order[0] = -1; }},
      {"rank twice", [](Snapshot& s) { s.order[0] = s.order[1]; }},
      {"no order", [](Snapshot& s) { s.order.clear(); }},
      {"entries", [](Snapshot& s) { s.n_entries = -3; }},
      {"no entries", [](Snapshot& s) { s.n_entries = 0; }},
      {"token", [](Snapshot& s) { s.tokens[3] = 260; }},
      {"negative token", [](Snapshot& s) { s.tokens[3] = -1; }},
      {"layers", [](Snapshot& s) { s.positions.pop_back(); }},
      {"more layers", [](Snapshot& s) { s.positions.push_back(s.positions.back()); }},
      {"heads", [](Snapshot& s) { s.positions[1].push_back(s.positions[1].back()); }},
      {"no heads", [](Snapshot& s) { s.positions[2].clear(); }},
      {"a position", [](Snapshot& s) { s.positions[0][0][0] = -1; }},
      {"cell positions", [](Snapshot& s) { std::swap(s.cell_positions[0], s.cell_positions[1]); }},
      {"attention", [](Snapshot& s) { s.attention[0].assign(std::size_t(s.n_entries), 1); }},
      {"attention of no layer", [](Snapshot& s) { s.attention[9].assign(std::size_t(s.n_entries) * 4, 1); }},
      {"half of the state", [](Snapshot& s) { s.state.resize(s.state.size() / 2); }},
      {"no state", [](Snapshot& s) { s.state.clear(); }},
      {"more state", [](Snapshot& s) { s.state.push_back(std::byte{0}); }},
  };
  for (const auto& [what, fault] : faults) {
    Snapshot bad = good;
    fault(bad);
    expect_refused(bad, what);
  }
}

// Changes the numbers of the state's frame: streams, cells, the first cell's position and sequences,
// transposition, layers, types and sizes of rows.
TEST_F(DamagedState, TheFrameOfTheStateMustFit) {
  const auto n = std::size_t(good.n_entries);
  const std::size_t frame = 16 + 12 * n, rows = frame + 8;
  const std::size_t row = 2 * 64;  // bytes of a layer's keys of one cell, F16
  const std::vector<std::size_t> offsets = {
      8, 12, 16, 20, frame, frame + 4, rows, rows + 4, rows + 8, rows + 12 + n * row, rows + 16 + n * row};
  for (const std::size_t offset : offsets)
    for (const std::uint32_t value : {0u, 2u, 7u, 100u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
      Snapshot bad = good;
      overwrite(bad.state, offset, value);
      if (bad.state == good.state) continue;
      expect_refused(bad, std::to_string(offset) + ": " + std::to_string(value));
      EXPECT_THROW(session.converted(bad), Error) << offset << ": " << value;
    }
}

TEST_F(DamagedState, AnyChangeIsRefusedOrHarmless) {
  std::uniform_int_distribution<std::size_t> anywhere(0, 16 + 12 * std::size_t(good.n_entries) + 100);
  std::uniform_int_distribution<int> byte(0, 255);
  std::size_t n_refused = 0;
  for (int i = 0; i < 300; ++i) {
    Snapshot bad = good;
    for (int change = 0; change < 3; ++change) bad.state[anywhere(random)] = std::byte(byte(random));
    try {
      session.sequence().restore(bad);
      EXPECT_EQ(session.sequence().n_entries(), good.n_entries);
    } catch (const Error&) {
      ++n_refused;
      EXPECT_EQ(session.sequence().n_entries(), 0);
    }
  }
  EXPECT_GT(n_refused, 100u);
}

TEST_F(DamagedState, TypesThatNoCacheHasAreNotConverted) {
  Session other(tiny(), options(CacheType::q8_0));
  Snapshot copy = other.converted(good);
  other.sequence().restore(copy);
  EXPECT_EQ(other.sequence().n_entries(), good.n_entries);
  const std::size_t type = 16 + 12 * std::size_t(good.n_entries) + 8;
  for (std::uint32_t other_type = 0; other_type < 64; ++other_type) {
    Snapshot bad = good;
    overwrite(bad.state, type, other_type);
    // bf16 (30) is converted: its rows are as long as those of f16.
    if (other_type == 30 || bad.state == good.state) continue;
    EXPECT_THROW(other.converted(bad), Error) << other_type;
  }
}

TEST_F(DamagedState, WithoutFlashAttention) {
  Session plain(tiny(), options(CacheType::f16, false));
  plain.sequence().prefill(prompt);
  const Snapshot whole = plain.sequence().snapshot();
  plain.sequence().restore(whole);
  plain.sequence().decode(5);
  EXPECT_EQ(plain.sequence().n_entries(), 61);
  EXPECT_THROW(plain.sequence().restore(good), Error);
  EXPECT_THROW(session.sequence().restore(whole), Error);
  EXPECT_THROW(session.converted(whole), Error);
}

}  // namespace
}  // namespace chunkkv::test
