#include "report/method_spec.h"
#include "report/ablation.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace chunkkv::report {
namespace {

TEST(Variants, DifferInOneParameter) {
  const auto given = variant_of("chunkkv:chunk=20,window=8,reuse=2", "reuse");
  ASSERT_TRUE(given);
  EXPECT_EQ(given->base, "chunkkv:chunk=20,window=8");
  EXPECT_EQ(given->value, 2);
  EXPECT_FALSE(given->is_default);

  const auto normal = variant_of("chunkkv:window=8", "chunk");
  ASSERT_TRUE(normal);
  EXPECT_EQ(normal->base, "chunkkv:window=8");
  EXPECT_EQ(normal->value, 10);
  EXPECT_TRUE(normal->is_default);

  EXPECT_EQ(variant_of("chunkkv:chunk=5", "chunk")->base, "chunkkv");
  EXPECT_FALSE(variant_of("streamingllm", "chunk"));
  EXPECT_FALSE(variant_of("nobody-knows:chunky=5", "chunk"));
  EXPECT_EQ(variant_of("nobody-knows:chunk=5", "chunk")->value, 5);  // perhaps of a newer version
}

TEST(Order, IsWhatReadersExpect) {
  std::vector<Pair> pairs = {{"chunkkv:chunk=20", "10%"},
                             {"chunkkv", "10%"},
                             {"nobody-knows", "10%"},
                             {"chunkkv:chunk=5", "10%"},
                             {"chunkkv", "512"},
                             {"snapkv", "10%"},
                             {"full", "100%"},
                             {"snapkv", "50%"},
                             {"chunkkv", "2048"},
                             {"streamingllm", "10%"}};
  std::sort(pairs.begin(), pairs.end(), listed_before);
  const std::vector<Pair> expected = {
      {"full", "100%"},    {"snapkv", "50%"},          {"streamingllm", "10%"},     {"snapkv", "10%"},
      {"chunkkv", "10%"},  {"chunkkv:chunk=5", "10%"}, {"chunkkv:chunk=20", "10%"}, {"nobody-knows", "10%"},
      {"chunkkv", "2048"}, {"chunkkv", "512"}};
  EXPECT_EQ(pairs, expected);
}

TEST(Ablations, HaveALineABudget) {
  const auto row = [](std::string method, std::string keep, double value) {
    return MeasuredRow{{std::move(method), std::move(keep)}, {value, {}}};
  };
  const std::vector<MeasuredRow> rows = {
      row("full", "100%", 0.9),           row("chunkkv", "10%", 0.5),
      row("chunkkv:chunk=3", "10%", 0.4), row("chunkkv:chunk=30", "10%", 0.3),
      row("chunkkv", "20%", 0.7),         row("chunkkv:chunk=3", "20%", 0.6),
      row("chunkkv:chunk=3", "50%", 0.8),  // nothing to compare with
      row("snapkv", "10%", 0.4)};
  const auto found = ablations(rows, {.title = "score"});
  ASSERT_EQ(found.size(), 1u);
  const Ablation& ablation = found.front();
  EXPECT_EQ(ablation.parameter, "chunk");
  EXPECT_EQ(ablation.base, "chunkkv");
  EXPECT_EQ(ablation.default_value, 10);
  EXPECT_EQ(ablation.full, 0.9);
  ASSERT_EQ(ablation.lines.size(), 2u);
  EXPECT_EQ(ablation.lines[0].keep, "20%");
  ASSERT_EQ(ablation.lines[1].points.size(), 3u);
  EXPECT_EQ(ablation.lines[1].points[0].value, 3);
  EXPECT_EQ(ablation.lines[1].points[1].value, 10);
  EXPECT_EQ(ablation.lines[1].points[1].estimate.value, 0.5);
  EXPECT_EQ(ablation.lines[1].points[2].value, 30);
}

TEST(Ablations, TheirPointsAreNoMethodsOfTheirOwn) {
  const std::vector<std::string> few = {"full", "chunkkv", "chunkkv:reuse=2", "chunkkv:chunk=20"};
  for (const std::string& method : few) EXPECT_FALSE(is_ablation_point(method, few)) << method;

  const std::vector<std::string> many = {"full",
                                         "snapkv",
                                         "chunkkv",
                                         "chunkkv:chunk=3",
                                         "chunkkv:chunk=20",
                                         "chunkkv:reuse=2",
                                         "chunkkv:reuse=3",
                                         "chunkkv:reuse=4"};
  std::vector<std::string> points;
  for (const std::string& method : many)
    if (is_ablation_point(method, many)) points.push_back(method);
  EXPECT_EQ(points, (std::vector<std::string>{"chunkkv:chunk=3", "chunkkv:chunk=20", "chunkkv:reuse=3",
                                              "chunkkv:reuse=4"}));
}

}  // namespace
}  // namespace chunkkv::report
