// What chunkkv keeps of a prompt is what kvpress and the papers' formulas keep on the same F32 weights
// (tests/fixtures/README.md tells how the fixture was made).
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/default_model.h"
#include "support/gpu.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>

namespace chunkkv::test {
namespace {

const nlohmann::json& fixture() {
  static const nlohmann::json all =
      nlohmann::json::parse(std::ifstream(CHUNKKV_TEST_FIXTURES "/kvpress.json"));
  return all;
}

std::vector<std::int32_t> set_of(const std::string& digits) {
  std::vector<std::int32_t> set;
  for (std::size_t i = 0; i < digits.size(); ++i)
    for (int bit = 0, value = std::stoi(digits.substr(i, 1), nullptr, 16); bit < 4; ++bit)
      if ((value >> bit & 1) != 0) set.push_back(std::int32_t(4 * i) + bit);
  return set;
}

/// A case of the fixture, and our method for it.
struct Pair {
  const char* fixture;
  const char* spec;
  /// Sets may differ where the highest dropped score is nearer to the lowest kept one than this share of it.
  double tolerance;
};

constexpr Pair kPairs[] = {
    {"paper_chunkkv_c10_w32", "chunkkv", 1e-4},
    {"paper_chunkkv_c10_w32_reuse2", "chunkkv:reuse=2", 1e-4},
    {"kvpress_chunkkv_c10_w32_k1", "chunkkv:rule=kvpress,score=mean", 1e-4},
    {"kvpress_chunkkv_c10_w32_k5", "chunkkv:rule=kvpress,score=mean,kernel=5", 1e-4},
    {"kvpress_chunkkv_c20_w64_k5", "chunkkv:chunk=20,window=64,rule=kvpress,score=mean,kernel=5", 1e-4},
    {"snapkv_w32_k5", "snapkv:window=32,kernel=5", 1e-4},
    {"keydiff", "keydiff", 1e-4},
    {"knorm", "knorm", 1e-5},
    {"tova", "tova", 1e-4},
    {"streamingllm_s4", "streamingllm:sinks=4", 0},
    {"h2o", "h2o", 1e-4},
    {"rkv_w8_p7_l0.1_t0.5", "rkv", 1e-4},
};

/// LagKV reads values, which only a cache with flash attention holds as rows. Flash attention rounds keys,
/// and so changes those of the next layers by more than some ranks differ by.
TEST(Kvpress, LagKVKeepsTheSameTokens) {
  if (has_gpu()) GTEST_SKIP() << "a GPU rounds products more than these weights in F32 are told apart by";
  SessionOptions options;
  options.n_cells = 1024;
  options.n_threads = 2;
  options.type_k = options.type_v = CacheType::f32;
  Session session(Model::load(f32_model()), options);
  const auto& cases = fixture().at("cases");
  const auto found =
      std::find_if(cases.begin(), cases.end(), [](const auto& c) { return c.at("name") == "lagkv_s4_l64"; });
  ASSERT_NE(found, cases.end());
  const Plan plan{make_method("lagkv:lag=64"), Budget::fraction(found->at("share"))};
  session.sequence().prefill(fixture().at("tokens").get<std::vector<Token>>(), {&plan, 1});
  std::size_t n_kept = 0, n_same = 0;
  for (const LayerKept& layer : session.sequence().selection().layers) {
    ASSERT_EQ(layer.heads.size(), 3U);
    for (std::size_t h = 0; h < layer.heads.size(); ++h) {
      const auto theirs = set_of(found->at("kept").at(std::size_t(layer.layer)).at(h));
      ASSERT_EQ(layer.heads[h].size(), theirs.size());
      std::vector<std::int32_t> both;
      std::set_intersection(layer.heads[h].begin(), layer.heads[h].end(), theirs.begin(), theirs.end(),
                            std::back_inserter(both));
      n_kept += theirs.size();
      n_same += both.size();
      // The first layer's rows are equal but for float arithmetic.
      if (layer.layer == 0) {
        EXPECT_EQ(layer.heads[h], theirs);
      }
    }
  }
  EXPECT_GE(double(n_same) / double(n_kept), 0.995) << n_same << " of " << n_kept;
}

TEST(Kvpress, KeepsTheSameTokens) {
  if (has_gpu()) GTEST_SKIP() << "a GPU rounds products more than these weights in F32 are told apart by";
  const auto model = Model::load(f32_model());
  SessionOptions options;
  options.n_cells = 1024;
  options.n_threads = 2;
  options.flash_attention = false;  // it would round the keys
  options.type_k = options.type_v = CacheType::f32;
  Session session(model, options);

  std::vector<Plan> plans;
  std::vector<std::pair<const Pair*, const nlohmann::json*>> compared;
  for (const auto& one : fixture().at("cases"))
    for (const Pair& pair : kPairs)
      if (one.at("name") == pair.fixture) {
        Plan plan{make_method(pair.spec), Budget::fraction(one.at("share"))};
        plan.keep_scores = true;
        plans.push_back(plan);
        compared.emplace_back(&pair, &one);
      }
  ASSERT_GE(plans.size(), std::size(kPairs) * 2);
  const auto tokens = fixture().at("tokens").get<std::vector<Token>>();
  EXPECT_EQ(model->tokenize(fixture().at("prompt").get<std::string>(), false, false), tokens);
  session.sequence().prefill(tokens, plans);

  for (std::size_t p = 0; p < plans.size(); ++p) {
    const auto& [pair, expected] = compared[p];
    const std::string name = std::string(pair->fixture) + " at " + plans[p].budget.to_string();
    const Selection& selection = session.sequence().selection(p);
    const auto& kept = expected->at("kept");
    std::size_t n_sets = 0, n_equal = 0, n_different = 0;
    double widest = 0;
    for (std::size_t l = 0; l < selection.layers.size(); ++l) {
      const auto& heads = selection.layers[l].heads;
      const auto& expected_heads = kept.at(std::min(l, kept.size() - 1));
      ASSERT_EQ(heads.size() == 1, expected_heads.size() == 1) << name;
      for (std::size_t h = 0; h < heads.size(); ++h) {
        const auto theirs = set_of(expected_heads.at(h));
        std::vector<std::int32_t> differing;
        std::set_symmetric_difference(heads[h].begin(), heads[h].end(), theirs.begin(), theirs.end(),
                                      std::back_inserter(differing));
        ++n_sets;
        n_equal += differing.empty();
        n_different += differing.size();
        if (differing.empty()) continue;
        ASSERT_EQ(heads[h].size(), theirs.size()) << name << ", layer " << l << ", head " << h;
        // Sets may differ where the scores on both sides of the cut are too near to tell apart by arithmetic.
        ASSERT_FALSE(expected->at("min_kept").empty()) << name;
        const std::size_t scored = std::min(l, expected->at("min_kept").size() - 1);
        const double low = expected->at("min_kept").at(scored).at(h),
                     high = expected->at("max_dropped").at(scored).at(h);
        const double gap = std::abs(low - high) / std::max(std::abs(low), 1e-12);
        widest = std::max(widest, gap);
        EXPECT_LE(gap, pair->tolerance) << name << ", layer " << l << ", head " << h << ": "
                                        << differing.size() << " tokens differ, first " << differing.front();
      }
    }
    std::printf("%-40s %4zu of %4zu sets equal, %zu tokens differ, widest gap %.1e\n", name.c_str(), n_equal,
                n_sets, n_different, widest);
    EXPECT_GE(double(n_equal), 0.9 * double(n_sets)) << name;
  }
}

}  // namespace
}  // namespace chunkkv::test
