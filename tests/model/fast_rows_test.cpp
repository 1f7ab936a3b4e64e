// Norms and rotations that our kernels compute in a graph of the engine equal the engine's own.
#include "llama/fast_rows.h"

#include "support/cpu_graph.h"
#include "support/relative_difference.h"

#include <gtest/gtest.h>

#include <memory>

namespace chunkkv::engine {
namespace {

class FastRowsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!FastRows::available()) GTEST_SKIP() << "no kernel for this processor";
    rows_ = std::make_unique<FastRows>();
  }
  /// Expects that `graph` gives the same with `n_ours` operations of ours, and is as before afterwards.
  void expect_equal(test::CpuGraph& graph, int n_ours) {
    const std::vector<float> engines = graph.compute();
    graph.for_nodes([&](ggml_tensor* node) { rows_->take(node); });
    EXPECT_EQ(graph.count(GGML_OP_CUSTOM), n_ours);
    EXPECT_LT(test::relative_difference(engines, graph.compute()), 1e-6);
    rows_->restore();
    EXPECT_EQ(graph.count(GGML_OP_CUSTOM), 0);
    EXPECT_EQ(graph.compute(), engines);
  }
  std::unique_ptr<FastRows> rows_;
};

TEST_F(FastRowsTest, ANormIsTakenWithItsProduct) {
  for (const std::int64_t n_tokens : {7, 8, 100}) {
    test::CpuGraph graph;
    ggml_tensor *a = graph.leaf(GGML_TYPE_F32, 600, n_tokens), *w = graph.leaf(GGML_TYPE_F32, 600);
    ggml_tensor* x = ggml_add(graph.ctx(), a, a);
    ggml_tensor* y = ggml_mul(graph.ctx(), ggml_rms_norm(graph.ctx(), x, 1e-5F), w);
    graph.build(ggml_add(graph.ctx(), y, x));  // as residuals do: x is read again
    graph.set_random(a);
    graph.set_random(w);
    expect_equal(graph, n_tokens >= 8 ? 1 : 0);
  }
}

TEST_F(FastRowsTest, ANormThatOthersReadIsTheEngines) {
  test::CpuGraph graph;
  ggml_tensor *x = graph.leaf(GGML_TYPE_F32, 600, 70), *w = graph.leaf(GGML_TYPE_F32, 600);
  ggml_tensor* norm = ggml_rms_norm(graph.ctx(), x, 1e-5F);
  graph.build(ggml_add(graph.ctx(), ggml_mul(graph.ctx(), norm, w), norm));
  graph.set_random(x);
  graph.set_random(w);
  expect_equal(graph, 0);
}

TEST_F(FastRowsTest, TheNormsOfHeadsAreTheEngines) {
  test::CpuGraph graph;
  ggml_tensor *x = graph.leaf(GGML_TYPE_F32, 128, 70), *w = graph.leaf(GGML_TYPE_F32, 128);
  graph.build(ggml_mul(graph.ctx(), ggml_rms_norm(graph.ctx(), x, 1e-5F), w));
  graph.set_random(x);
  graph.set_random(w);
  expect_equal(graph, 0);
}

struct Rotation {
  int mode;
  std::int32_t n_rotated;
  bool has_factors;
  float extension;
  std::int64_t n_tokens;
};

TEST_F(FastRowsTest, RotationsOfEveryKind) {
  for (const Rotation& r :
       {Rotation{GGML_ROPE_TYPE_NORMAL, 64, false, 0, 70}, Rotation{GGML_ROPE_TYPE_NEOX, 64, false, 0, 70},
        Rotation{GGML_ROPE_TYPE_NEOX, 32, true, 0, 64}, Rotation{GGML_ROPE_TYPE_NORMAL, 20, true, 0, 65},
        Rotation{GGML_ROPE_TYPE_NEOX, 64, false, 1, 70}, Rotation{GGML_ROPE_TYPE_NEOX, 64, false, 0, 7}}) {
    SCOPED_TRACE(r.mode + 10 * r.n_rotated);
    test::CpuGraph graph;
    ggml_tensor *q = graph.leaf(GGML_TYPE_F32, 64, 5, r.n_tokens),
                *k = graph.leaf(GGML_TYPE_F32, 64, 5, r.n_tokens);
    ggml_tensor* positions = graph.leaf(GGML_TYPE_I32, r.n_tokens);
    ggml_tensor* factors = r.has_factors ? graph.leaf(GGML_TYPE_F32, r.n_rotated / 2) : nullptr;
    const auto rotated = [&](ggml_tensor* x) {
      return ggml_rope_ext(graph.ctx(), x, positions, factors, r.n_rotated, r.mode, 4096, 10000, 0.5F,
                           r.extension, 1.25F, 32, 1);
    };
    graph.build(ggml_sub(graph.ctx(), rotated(q), rotated(k)));
    graph.set_random(q);
    graph.set_random(k);
    test::CpuGraph::set_positions(positions, 7);
    if (factors != nullptr) graph.set_random(factors);
    expect_equal(graph, r.extension == 0 && r.n_tokens >= 8 ? 2 : 0);
  }
}

/// The engine computes one graph for several micro-batches: the nodes are still ours, the positions are new.
TEST_F(FastRowsTest, AGraphIsComputedAgain) {
  test::CpuGraph graph;
  ggml_tensor *x = graph.leaf(GGML_TYPE_F32, 64, 3, 64), *positions = graph.leaf(GGML_TYPE_I32, 64);
  graph.build(ggml_rope_ext(graph.ctx(), x, positions, nullptr, 64, GGML_ROPE_TYPE_NEOX, 4096, 10000, 1, 0, 1,
                            32, 1));
  graph.set_random(x);
  std::vector<std::vector<float>> engines;
  for (const std::int32_t first : {0, 500}) {
    test::CpuGraph::set_positions(positions, first);
    engines.push_back(graph.compute());
  }
  for (const std::size_t i : {0, 1, 0}) {
    test::CpuGraph::set_positions(positions, i == 0 ? 0 : 500);
    graph.for_nodes([&](ggml_tensor* node) { rows_->take(node); });
    EXPECT_EQ(graph.count(GGML_OP_CUSTOM), 1);
    EXPECT_LT(test::relative_difference(engines[i], graph.compute()), 1e-6);
  }
  rows_->restore();
}

}  // namespace
}  // namespace chunkkv::engine
