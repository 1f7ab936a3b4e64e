// Pairs of method and budget, shards of the samples, and the table of scores.
#include "runner/pairs.h"
#include "runner/score_table.h"

#include <chunkkv/registry.h>

#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

namespace chunkkv::eval {
namespace {

using test::expect_mentions;
using test::message_of;
using test::Random;

using Texts = std::vector<std::string>;

Texts names(const Texts& methods, const Texts& keeps) {
  Texts all;
  for (const Plan& pair : make_pairs(methods, keeps)) all.push_back(to_string(pair));
  return all;
}

TEST(Pairs, AreEveryMethodWithEveryBudgetAndFullOnceAndFirst) {
  EXPECT_EQ(names({"snapkv", "full", "chunkkv:reuse=2"}, {"50%", "128"}),
            (Texts{"full at 100%", "snapkv at 50%", "snapkv at 128", "chunkkv:reuse=2 at 50%",
                   "chunkkv:reuse=2 at 128"}));
}

TEST(Pairs, AreNotRepeated) {
  EXPECT_EQ(names({"full", "snapkv", "full", "snapkv:window=32"}, {"50%", "0.5"}),
            (Texts{"full at 100%", "snapkv at 50%"}));
}

TEST(Pairs, NeedMethodsAndBudgets) {
  EXPECT_EQ(names({"full"}, {}), Texts{"full at 100%"});
  expect_mentions(message_of<UsageError>([] { names({"snapkv"}, {}); }), {"--keep"});
  expect_mentions(message_of<UsageError>([] { names({}, {"10%"}); }), {"--methods"});
  EXPECT_THROW(names({"nothing"}, {"10%"}), UsageError);
  EXPECT_THROW(names({"snapkv"}, {"0%"}), UsageError);
}

TEST(Pairs, FitIntoEveryPrompt) {
  const auto pair = [](const char* method, const char* keep) {
    return make_pairs(Texts{method}, Texts{keep}).front();
  };
  EXPECT_EQ(pair("snapkv:window=32", "20%").at(320, 320, 4).window, 0);
  EXPECT_EQ(pair("snapkv:window=32", "20%").at(310, 310, 4).window, 31);
  EXPECT_EQ(pair("full", "100%").at(1, 1, 4).window, 0);
  EXPECT_EQ(pair("streamingllm", "2").at(9, 9, 4).target.budget, 2);
}

TEST(Shard, ShareTheSamplesOutEvenlyAndCompletely) {
  Random random;
  const auto n_samples = std::size_t(random.integer(1, 50));
  const auto count = std::size_t(random.integer(1, 9));
  std::vector<int> owners(n_samples);
  for (std::size_t i = 1; i <= count; ++i) {
    const Shard shard = Shard::parse(std::to_string(i) + "/" + std::to_string(count));
    std::size_t n = 0;
    for (std::size_t sample = 0; sample < n_samples; ++sample) {
      owners[sample] += int(shard.has(sample));
      n += std::size_t(shard.has(sample));
    }
    EXPECT_LE(n, (n_samples + count - 1) / count);
    EXPECT_GE(n, n_samples / count);
  }
  EXPECT_EQ(owners, std::vector<int>(n_samples, 1));
}

TEST(Shard, IsOneOfSo) {
  for (const char* wrong : {"", "1", "0/2", "3/2", "a/2", "1/", "/2", "1/0", "1/2/3", "-1/2", "1/2 "})
    expect_mentions(message_of<UsageError>([&] { Shard::parse(wrong); }), {"I/N", wrong});
}

TEST(ScoreTable, ShowsMeansByTaskMethodAndBudget) {
  const std::vector<Plan> pairs = make_pairs(Texts{"full", "snapkv"}, Texts{"50%", "10%"});
  ScoreTable table;
  table.add("qasper", pairs[0], 1.0);
  table.add("qasper", pairs[0], 0.5);
  table.add("qasper", pairs[1], 0.5);
  table.add("qasper", pairs[1], 0.25);
  table.add("qasper", pairs[2], 0.1);
  EXPECT_EQ(table.text(),
            "task    method       n    100%     50%     10%\n"
            "qasper  full         2    75.0       -       -\n"
            "qasper  snapkv     1-2       -    37.5    10.0\n");
  table.add("trec", pairs[0], 0);
  table.add("trec", pairs[1], 1);
  EXPECT_EQ(table.text(),
            "task    method       n    100%     50%     10%\n"
            "qasper  full         2    75.0       -       -\n"
            "qasper  snapkv     1-2       -    37.5    10.0\n"
            "trec    full         1     0.0       -       -\n"
            "trec    snapkv       1       -   100.0       -\n"
            "mean    full         2    37.5       -       -\n"
            "mean    snapkv       2       -    68.8       -\n");
}

}  // namespace
}  // namespace chunkkv::eval
