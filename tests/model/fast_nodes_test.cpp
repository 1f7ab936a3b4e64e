// Nodes of the engine's graphs are computed by our kernels, which tests of whole models can't tell from the
// engine's, and are the engine's again afterwards.
#include "llama/fast_attention.h"
#include "llama/fast_products.h"

#include "support/cpu_graph.h"
#include "support/relative_difference.h"

#include <gtest/gtest.h>

namespace chunkkv::engine {
namespace {

constexpr int kThreads = GGML_DEFAULT_N_THREADS;

/// Expects that `take` takes `n_ours` nodes, and the same result, nearly, as the engine's.
template <class Take, class Restore>
void expect_taken(test::CpuGraph& graph, int n_ours, Take&& take, Restore&& restore) {
  const std::vector<float> engines = graph.compute();
  graph.for_nodes(take);
  EXPECT_EQ(graph.count(GGML_OP_CUSTOM), n_ours);
  EXPECT_LT(test::relative_difference(engines, graph.compute()), 2e-2);
  restore();
  EXPECT_EQ(graph.count(GGML_OP_CUSTOM), 0);
  EXPECT_EQ(graph.compute(), engines);
}

class FastProductNodes : public testing::Test {
 protected:
  void SetUp() override {
    if (!FastProducts::available()) GTEST_SKIP() << "no kernel for this processor";
  }
  static void expect_taken(test::CpuGraph& graph, int n_ours) {
    FastProducts products(kThreads);
    engine::expect_taken(
        graph, n_ours, [&](ggml_tensor* node) { products.take(node); }, [&] { products.restore(); });
  }
};

/// Types that our kernels multiply on every processor for which there are any. Of fewer than 64 tokens only
/// the last, where it is multiplied in 8 bits.
constexpr ggml_type kTypes[] = {GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q5_0};

TEST_F(FastProductNodes, ProductsOfManyTokensAreOurs) {
  for (const ggml_type type : kTypes)
    for (const std::int64_t n_tokens : {7, 8, 63, 64, 70})
      for (const ggml_prec precision : {GGML_PREC_DEFAULT, GGML_PREC_F32}) {
        SCOPED_TRACE(testing::Message() << ggml_type_name(type) << ", " << n_tokens << " tokens");
        test::CpuGraph graph;
        ggml_tensor *w = graph.leaf(type, 256, 128), *x = graph.leaf(GGML_TYPE_F32, 256, n_tokens);
        ggml_tensor* product = ggml_mul_mat(graph.ctx(), w, x);
        ggml_prec_set_acc(product, precision);
        graph.build(product);
        graph.set_random(w);
        graph.set_random(x);
        const kernels::ProductKernel* kernel = prompt_kernel(product);
        EXPECT_TRUE(kernel != nullptr || precision != GGML_PREC_DEFAULT);
        const bool in_bytes =
            type == GGML_TYPE_Q5_0 && kernels::product_kernel(kernels::Arithmetic::bytes) != nullptr;
        expect_taken(graph, n_tokens >= (in_bytes ? 8 : 64) && (in_bytes || kernel != nullptr) ? 1 : 0);
      }
}

TEST_F(FastProductNodes, ExpertsOfManyTokensAreOurs) {
  for (const ggml_type type : kTypes) {
    SCOPED_TRACE(ggml_type_name(type));
    test::CpuGraph graph;
    ggml_tensor *w = graph.leaf(type, 256, 128, 4), *x = graph.leaf(GGML_TYPE_F32, 256, 1, 80);
    ggml_tensor* experts = graph.leaf(GGML_TYPE_I32, 2, 80);
    graph.build(ggml_mul_mat_id(graph.ctx(), w, x, experts));
    graph.set_random(w);
    graph.set_random(x);
    std::vector<std::int32_t> chosen;
    for (int token = 0; token < 80; ++token) chosen.insert(chosen.end(), {token % 4, (token + 1) % 4});
    ggml_backend_tensor_set(experts, chosen.data(), 0, chosen.size() * sizeof(std::int32_t));
    expect_taken(graph, 1);
  }
}

TEST(FastAttentionNodes, AttentionOfAnyNumberOfTokensIsOurs) {
  if (FastAttention::kernel() == nullptr) GTEST_SKIP() << "no kernel for this processor";
  constexpr std::int64_t depth = 64, n_cells = 96, n_kv = 2;
  for (const std::int64_t n_tokens : {1, 31, 32, 70}) {
    SCOPED_TRACE(n_tokens);
    test::CpuGraph graph;
    ggml_tensor *q = graph.leaf(GGML_TYPE_F32, depth, n_tokens, 6),
                *k = graph.leaf(GGML_TYPE_F16, depth * n_kv, n_cells),
                *v = graph.leaf(GGML_TYPE_F16, depth * n_kv, n_cells),
                *mask = graph.leaf(GGML_TYPE_F16, n_cells, n_tokens);
    const auto heads = [&](ggml_tensor* cache) {
      return ggml_permute(graph.ctx(),
                          ggml_view_3d(graph.ctx(), cache, depth, n_kv, n_cells, depth * 2, cache->nb[1], 0),
                          0, 2, 1, 3);
    };
    graph.build(ggml_flash_attn_ext(graph.ctx(), q, heads(k), heads(v), mask, 0.125F, 0, 0));
    for (ggml_tensor* leaf : {q, k, v}) graph.set_random(leaf);
    std::vector<ggml_fp16_t> sees(std::size_t(ggml_nelements(mask)), ggml_fp32_to_fp16(0));
    ggml_backend_tensor_set(mask, sees.data(), 0, sees.size() * sizeof(ggml_fp16_t));
    FastAttention attention(kThreads);
    expect_taken(
        graph, 1, [&](ggml_tensor* node) { attention.take(node, false); }, [&] { attention.restore(); });
  }
}

/// Nodes of another graph in the same memory stay as they are.
TEST_F(FastProductNodes, WhatIsNoLongerOursIsNotPutBack) {
  test::CpuGraph graph;
  ggml_tensor *w = graph.leaf(GGML_TYPE_F16, 256, 128), *x = graph.leaf(GGML_TYPE_F32, 256, 64);
  ggml_tensor* product = ggml_mul_mat(graph.ctx(), w, x);
  graph.build(product);
  FastProducts products(kThreads);
  products.take(product);
  ASSERT_EQ(product->op, GGML_OP_CUSTOM);
  product->op = GGML_OP_ADD;
  products.restore();
  EXPECT_EQ(product->op, GGML_OP_ADD);
}

}  // namespace
}  // namespace chunkkv::engine
