// Nodes of the engine's graphs are computed by our kernels, which tests of whole models can't tell from the
// engine's, and are the engine's again afterwards.
#include "llama/fast_attention.h"
#include "llama/fast_products.h"

#include "support/cpu_graph.h"
#include "support/relative_difference.h"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

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
/// the last, where it is multiplied in 8 bits, and the others, where there are tiles.
constexpr ggml_type kTypes[] = {GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q5_0};

bool takes_few(ggml_type type) {
  using kernels::Arithmetic;
  return kernels::product_kernel(type == GGML_TYPE_Q5_0 ? Arithmetic::bytes : Arithmetic::bf16_amx) !=
         nullptr;
}

TEST_F(FastProductNodes, ProductsOfManyTokensAreOurs) {
  for (const ggml_type type : kTypes)
    for (const std::int64_t n_tokens : {7, 8, 23, 24, 63, 64, 70})
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
        const bool in_bytes = type == GGML_TYPE_Q5_0 && takes_few(type);
        const std::int64_t fewest = in_bytes ? 8 : takes_few(type) ? 24 : 64;
        expect_taken(graph, n_tokens >= fewest && (in_bytes || kernel != nullptr) ? 1 : 0);
      }
}

TEST_F(FastProductNodes, ExpertsWithManyRowsAreOurs) {
  constexpr int n_experts = 16, n_used = 2;
  for (const ggml_type type : kTypes)
    for (const int n_tokens : {31, 32, 127, 128, 512}) {
      SCOPED_TRACE(testing::Message() << ggml_type_name(type) << ", " << n_tokens << " tokens");
      test::CpuGraph graph;
      ggml_tensor *w = graph.leaf(type, 256, 128, n_experts),
                  *x = graph.leaf(GGML_TYPE_F32, 256, 1, n_tokens);
      ggml_tensor* experts = graph.leaf(GGML_TYPE_I32, n_used, n_tokens);
      graph.build(ggml_mul_mat_id(graph.ctx(), w, x, experts));
      graph.set_random(w);
      graph.set_random(x);
      std::vector<std::int32_t> chosen;
      for (int token = 0; token < n_tokens; ++token)
        chosen.insert(chosen.end(), {token % n_experts, (token + 1) % n_experts});
      ggml_backend_tensor_set(experts, chosen.data(), 0, chosen.size() * sizeof(std::int32_t));
      expect_taken(graph, n_tokens * n_used >= n_experts * (takes_few(type) ? 4 : 16) ? 1 : 0);
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

/// Products of one graph, added up: of the same activations, of others, and of the first ones again.
struct ManyProducts {
  test::CpuGraph graph;
  ggml_tensor* input = graph.leaf(GGML_TYPE_F32, 256, 70);
  ggml_tensor *x = ggml_scale(graph.ctx(), input, 2), *y = ggml_scale(graph.ctx(), input, 3);
  std::vector<ggml_tensor*> weights, products;

  ggml_tensor* multiply(ggml_type type, ggml_tensor* activations) {
    weights.push_back(graph.leaf(type, 256, 128));
    products.push_back(ggml_mul_mat(graph.ctx(), weights.back(), activations));
    return products.back();
  }
  void build() {
    ggml_tensor* sum = products.front();
    for (std::size_t i = 1; i < products.size(); ++i) sum = ggml_add(graph.ctx(), sum, products[i]);
    graph.build(sum);
    for (ggml_tensor* w : weights) graph.set_random(w);
    graph.set_random(input);
  }
  /// Takes all nodes.
  void take(FastProducts& ours) {
    graph.for_nodes([&](ggml_tensor* node) {
      ours.see(node);
      ours.take(node);
    });
  }
  /// Whether a product uses what the one before it has packed. The first one never does.
  bool is_of_packed(std::size_t i) const {
    return Operation::of(products[i]) != Operation::of(products.front());
  }
};

TEST_F(FastProductNodes, TheSameActivationsArePackedOnce) {
  ManyProducts all;
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F16, GGML_TYPE_BF16}) all.multiply(type, all.x);
  all.multiply(GGML_TYPE_F16, all.y);
  all.multiply(GGML_TYPE_F16, all.x);
  all.multiply(GGML_TYPE_Q5_0, all.x);  // may have another kernel
  all.multiply(GGML_TYPE_Q5_0, all.x);
  all.multiply(GGML_TYPE_F16, all.input);  // which may change unseen
  all.multiply(GGML_TYPE_F16, all.input);
  ggml_tensor* view = ggml_reshape_2d(all.graph.ctx(), all.x, 256, 70);
  all.multiply(GGML_TYPE_F16, view);  // as what a view shows
  all.multiply(GGML_TYPE_F16, view);
  all.build();

  // One object for each node: none knows what another has packed.
  std::deque<FastProducts> alone;
  for (ggml_tensor* product : all.products) alone.emplace_back(kThreads).take(product);
  const std::vector<float> expected = all.graph.compute();
  for (FastProducts& product : alone) product.restore();

  FastProducts ours(kThreads);
  all.take(ours);
  for (const std::size_t i : {1, 6}) EXPECT_TRUE(all.is_of_packed(i)) << i;
  for (const std::size_t i : {3, 4, 7, 8, 9, 10}) EXPECT_FALSE(all.is_of_packed(i)) << i;
  EXPECT_EQ(all.graph.compute(), expected);
  // The engine may compute a graph several times in a decode.
  all.graph.set_random(all.input);
  const std::vector<float> again = all.graph.compute();
  EXPECT_NE(again, expected);
  ours.restore();
  EXPECT_EQ(all.graph.count(GGML_OP_CUSTOM), 0);
  EXPECT_LT(test::relative_difference(all.graph.compute(), again), 2e-2);
}

TEST_F(FastProductNodes, ActivationsOfAnotherGraphAreNotKnown) {
  ManyProducts all;
  all.multiply(GGML_TYPE_F16, all.x);
  all.multiply(GGML_TYPE_F16, all.x);
  all.build();
  FastProducts ours(kThreads);
  all.take(ours);
  EXPECT_TRUE(all.is_of_packed(1));
  // The same graph once more, as in the next decode, and as another one in the same memory.
  for (const bool is_next_decode : {true, false}) {
    if (is_next_decode) {
      ours.restore();
    } else {
      for (ggml_tensor* product : all.products) product->op = GGML_OP_MUL_MAT;
    }
    all.take(ours);
    EXPECT_TRUE(all.is_of_packed(1));  // so the first one is not
  }
}

TEST_F(FastProductNodes, NothingIsPackedAfterMemoryHasGrown) {
  ManyProducts all;
  all.multiply(GGML_TYPE_F16, all.x);
  all.multiply(GGML_TYPE_F16, all.x);
  all.build();
  const std::vector<float> engines = all.graph.compute();
  FastProducts ours(kThreads);
  all.take(ours);
  EXPECT_TRUE(all.is_of_packed(1));
  test::CpuGraph larger;  // more activations than fit beside those of the graph above
  ggml_tensor *w = larger.leaf(GGML_TYPE_F16, 2048, 128), *x = larger.leaf(GGML_TYPE_F32, 2048, 128);
  ggml_tensor* product = ggml_mul_mat(larger.ctx(), w, x);
  larger.build(product);
  ours.take(product);
  EXPECT_FALSE(all.is_of_packed(1));
  EXPECT_LT(test::relative_difference(engines, all.graph.compute()), 2e-2);
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
