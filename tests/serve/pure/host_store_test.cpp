#include "serve/engine/host_store.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

namespace chunkkv::test {
namespace {

using serve::HostCopy;
using serve::HostStore;

/// A copy of the `n` tokens `first`, `first` + 1, ..., which takes 4 + `state` bytes for each.
HostCopy copy_of(Token first, std::int32_t n, const std::string& key = "full", std::size_t state = 6) {
  HostCopy copy;
  copy.snapshot.tokens.resize(std::size_t(n));
  std::iota(copy.snapshot.tokens.begin(), copy.snapshot.tokens.end(), first);
  copy.snapshot.n_entries = n;
  copy.snapshot.state.resize(std::size_t(n) * state);
  copy.key = key;
  return copy;
}

std::vector<Token> firsts(const HostStore& store) {
  std::vector<Token> tokens;
  for (const HostCopy& copy : store.copies()) tokens.push_back(copy.snapshot.tokens.front());
  return tokens;
}

struct Evicted {
  std::vector<Token> tokens;
  auto sink() {
    return [this](const HostCopy& copy) { tokens.push_back(copy.snapshot.tokens.front()); };
  }
};

TEST(HostStore, CountsWhatCopiesHold) {
  HostCopy copy = copy_of(0, 10);
  EXPECT_EQ(copy.bytes(), 100U);
  copy.snapshot.positions = {{{0, 1, 2}}};
  copy.snapshot.order = {0, 1};
  copy.snapshot.cell_positions = {0, 1};
  copy.snapshot.attention[0] = {1, 2, 3};
  EXPECT_EQ(copy.bytes(), 100U + 12 + 8 + 8 + 12);
}

TEST(HostStore, TheOldestGoesFirst) {
  Evicted evicted;
  HostStore store(300, evicted.sink());
  for (const Token first : {0, 1000, 2000}) EXPECT_TRUE(store.add(copy_of(first, 10)));
  store.use(store.copies().back());
  EXPECT_EQ(firsts(store), (std::vector<Token>{0, 2000, 1000}));
  EXPECT_TRUE(store.add(copy_of(3000, 15)));
  EXPECT_EQ(evicted.tokens, (std::vector<Token>{1000, 2000}));
  EXPECT_EQ(firsts(store), (std::vector<Token>{3000, 0}));
  EXPECT_EQ(store.bytes(), 250U);
}

TEST(HostStore, RefusesWhatIsTooLarge) {
  Evicted evicted;
  HostStore store(100, evicted.sink());
  EXPECT_TRUE(store.holds(100));
  EXPECT_FALSE(store.holds(101));
  EXPECT_TRUE(store.add(copy_of(0, 10)));
  EXPECT_FALSE(store.add(copy_of(1000, 11)));
  EXPECT_EQ(firsts(store), (std::vector<Token>{0}));
  EXPECT_TRUE(evicted.tokens.empty());
}

TEST(HostStore, ReplacesWhatIsContinued) {
  Evicted evicted;
  HostStore store(1000, evicted.sink());
  store.add(copy_of(0, 10));
  store.add(copy_of(0, 12));
  EXPECT_EQ(store.copies().size(), 1U);
  EXPECT_EQ(store.bytes(), 120U);
  store.add(copy_of(0, 20, "chunkkv at 20%"));  // another key
  EXPECT_EQ(store.copies().size(), 2U);
  HostCopy source = copy_of(0, 20);
  source.is_source = true;
  store.add(std::move(source));  // copies for sources are kept apart
  EXPECT_EQ(store.copies().size(), 3U);
  store.add(copy_of(0, 11));  // shorter, so it replaces nothing
  EXPECT_EQ(store.copies().size(), 4U);
  EXPECT_TRUE(evicted.tokens.empty());
}

TEST(HostStore, ANamedOneIsReplacedByItsNameOnly) {
  HostStore store(1000, {});
  HostCopy named = copy_of(0, 10);
  named.name = "contract";
  store.add(std::move(named));
  store.add(copy_of(0, 12));
  EXPECT_EQ(store.copies().size(), 2U);
  HostCopy longer = copy_of(0, 13);
  longer.name = "contract";
  store.add(std::move(longer));
  EXPECT_EQ(store.copies().size(), 1U);
}

TEST(HostStore, ThePinnedOneStays) {
  Evicted evicted;
  HostStore store(300, evicted.sink());
  store.add(copy_of(0, 10));
  store.add(copy_of(1000, 10));
  store.pin(&store.copies().back());
  EXPECT_TRUE(store.add(copy_of(2000, 20)));
  EXPECT_EQ(evicted.tokens, (std::vector<Token>{1000}));
  EXPECT_FALSE(store.add(copy_of(3000, 21)));
  EXPECT_TRUE(store.add(copy_of(0, 11)));  // continues the pinned one
  EXPECT_EQ(firsts(store), (std::vector<Token>{0, 0}));
  store.unpin();
  EXPECT_TRUE(store.add(copy_of(4000, 30)));
  EXPECT_EQ(firsts(store), (std::vector<Token>{4000}));
}

TEST(HostStore, TakingACopyFreesItsBytes) {
  HostStore store(300, {});
  store.add(copy_of(0, 10));
  store.add(copy_of(1000, 20));
  const HostCopy taken = store.take(store.copies().back());
  EXPECT_EQ(taken.snapshot.tokens.size(), 10U);
  EXPECT_EQ(store.bytes(), 200U);
  EXPECT_EQ(firsts(store), (std::vector<Token>{1000}));
}

TEST(HostStore, ThePinnedOneMayBeTaken) {
  HostStore store(300, {});
  store.add(copy_of(0, 20));
  store.pin(&store.copies().front());
  EXPECT_EQ(store.take(store.copies().front()).bytes(), 200U);
  EXPECT_TRUE(store.add(copy_of(1000, 30)));  // fills the store
  EXPECT_EQ(firsts(store), (std::vector<Token>{1000}));
}

TEST(HostStore, RandomOperationsEqualAModel) {
  struct Entry {
    Token first;
    std::int32_t n;
    std::string key;
    bool operator==(const Entry&) const = default;
  };
  constexpr std::uint64_t most = 1000;
  Random random;
  std::vector<Entry> model, evicted, expected_evicted;
  HostStore store(most, [&](const HostCopy& copy) {
    evicted.push_back({copy.snapshot.tokens.front(), copy.snapshot.n_entries, copy.key});
  });
  for (int round = 0; round < 5000; ++round) {
    const auto at = [&] { return random.integer(0, std::int32_t(model.size()) - 1); };
    const std::int32_t what = random.integer(0, 9);
    if (what < 6 || model.empty()) {
      const Entry entry{1000 * random.integer(0, 7), random.integer(1, 60),
                        random.chance(0.5F) ? "full" : "b"};
      const bool fits = std::uint64_t(entry.n) * 10 <= most;
      EXPECT_EQ(store.add(copy_of(entry.first, entry.n, entry.key)), fits);
      std::erase_if(model, [&](const Entry& e) {
        return e.first == entry.first && e.key == entry.key && e.n <= entry.n;
      });
      const auto bytes = [&] {
        return std::accumulate(model.begin(), model.end(), 0,
                               [](int sum, const Entry& e) { return sum + 10 * e.n; });
      };
      while (std::uint64_t(bytes() + entry.n * 10) > most) {
        expected_evicted.push_back(model.back());
        model.pop_back();
      }
      model.insert(model.begin(), entry);
    } else {
      const auto i = at();
      const HostCopy& copy = *std::next(store.copies().begin(), i);
      const Entry entry = model[std::size_t(i)];
      model.erase(model.begin() + i);
      if (what < 8) {
        store.use(copy);
        model.insert(model.begin(), entry);
      } else {
        EXPECT_EQ(store.take(copy).snapshot.n_entries, entry.n);
      }
    }
    std::vector<Entry> held;
    std::uint64_t bytes = 0;
    for (const HostCopy& copy : store.copies()) {
      held.push_back({copy.snapshot.tokens.front(), copy.snapshot.n_entries, copy.key});
      bytes += copy.bytes();
    }
    ASSERT_EQ(held, model) << "round " << round;
    ASSERT_EQ(evicted, expected_evicted) << "round " << round;
    ASSERT_EQ(store.bytes(), bytes);
    ASSERT_LE(bytes, most);
  }
}

}  // namespace
}  // namespace chunkkv::test
