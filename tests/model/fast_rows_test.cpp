// Norms and rotations that our kernels compute in a graph of the engine equal the engine's own.
#include "llama/fast_rows.h"
#include "llama/handles.h"

#include "support/relative_difference.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

namespace chunkkv::engine {
namespace {

/// A graph on the CPU. The allocator puts results in the place of what nobody reads any more.
class RowsGraph {
 public:
  RowsGraph() {
    context_.reset(ggml_init({.mem_size = 64 * ggml_tensor_overhead() + ggml_graph_overhead(),
                              .mem_buffer = nullptr,
                              .no_alloc = true}));
    backend_.reset(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    leaves_.reset(
        ggml_init({.mem_size = 16 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}));
  }
  ggml_context* ctx() { return context_.get(); }
  ggml_tensor* leaf(ggml_type type, std::int64_t n0, std::int64_t n1 = 1, std::int64_t n2 = 1) {
    return ggml_new_tensor_3d(leaves_.get(), type, n0, n1, n2);
  }
  /// To be called once all leaves and nodes exist.
  void build(ggml_tensor* result) {
    buffer_.reset(ggml_backend_alloc_ctx_tensors(leaves_.get(), backend_.get()));
    graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(graph_, result);
    allocator_.reset(ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend_.get())));
    ggml_gallocr_alloc_graph(allocator_.get(), graph_);
    result_ = result;
  }
  std::vector<float> compute() {
    ggml_backend_graph_compute(backend_.get(), graph_);
    std::vector<float> result(std::size_t(ggml_nelements(result_)));
    ggml_backend_tensor_get(result_, result.data(), 0, result.size() * sizeof(float));
    return result;
  }
  int count(ggml_op op) const {
    int n = 0;
    for (int i = 0; i < ggml_graph_n_nodes(graph_); ++i) n += ggml_graph_node(graph_, i)->op == op ? 1 : 0;
    return n;
  }
  void take_all(FastRows& rows) {
    for (int i = 0; i < ggml_graph_n_nodes(graph_); ++i) rows.take(ggml_graph_node(graph_, i));
  }
  void set_random(ggml_tensor* t) {
    std::vector<float> values(std::size_t(ggml_nelements(t)));
    std::normal_distribution<float> normal;
    for (float& value : values) value = normal(random_);
    ggml_backend_tensor_set(t, values.data(), 0, values.size() * sizeof(float));
  }
  static void set_positions(ggml_tensor* t, std::int32_t first) {
    std::vector<std::int32_t> positions(std::size_t(t->ne[0]));
    for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = first + 3 * std::int32_t(i);
    ggml_backend_tensor_set(t, positions.data(), 0, positions.size() * sizeof(std::int32_t));
  }

 private:
  BackendHandle backend_;
  GgmlContext context_, leaves_;
  BufferHandle buffer_;
  AllocatorHandle allocator_;
  ggml_cgraph* graph_ = nullptr;
  ggml_tensor* result_ = nullptr;
  std::mt19937 random_{test::random_seed()};
};

class FastRowsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!FastRows::available()) GTEST_SKIP() << "no kernel for this processor";
    rows_ = std::make_unique<FastRows>();
  }
  /// Expects that `graph` gives the same with `n_ours` operations of ours, and is as before afterwards.
  void expect_equal(RowsGraph& graph, int n_ours) {
    const std::vector<float> engines = graph.compute();
    graph.take_all(*rows_);
    EXPECT_EQ(graph.count(GGML_OP_CUSTOM), n_ours);
    EXPECT_LT(test::relative_difference(engines, graph.compute()), 1e-6);
    rows_->restore();
    EXPECT_EQ(graph.count(GGML_OP_CUSTOM), 0);
    EXPECT_EQ(graph.compute(), engines);
  }
  std::unique_ptr<FastRows> rows_;
};

TEST_F(FastRowsTest, ANormIsTakenWithItsProduct) {
  for (const std::int64_t n_tokens : {63, 64, 100}) {
    RowsGraph graph;
    ggml_tensor *a = graph.leaf(GGML_TYPE_F32, 600, n_tokens), *w = graph.leaf(GGML_TYPE_F32, 600);
    ggml_tensor* x = ggml_add(graph.ctx(), a, a);
    ggml_tensor* y = ggml_mul(graph.ctx(), ggml_rms_norm(graph.ctx(), x, 1e-5F), w);
    graph.build(ggml_add(graph.ctx(), y, x));  // as residuals do: x is read again
    graph.set_random(a);
    graph.set_random(w);
    expect_equal(graph, n_tokens >= 64 ? 1 : 0);
  }
}

TEST_F(FastRowsTest, ANormThatOthersReadIsTheEngines) {
  RowsGraph graph;
  ggml_tensor *x = graph.leaf(GGML_TYPE_F32, 600, 70), *w = graph.leaf(GGML_TYPE_F32, 600);
  ggml_tensor* norm = ggml_rms_norm(graph.ctx(), x, 1e-5F);
  graph.build(ggml_add(graph.ctx(), ggml_mul(graph.ctx(), norm, w), norm));
  graph.set_random(x);
  graph.set_random(w);
  expect_equal(graph, 0);
}

TEST_F(FastRowsTest, TheNormsOfHeadsAreTheEngines) {
  RowsGraph graph;
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
        Rotation{GGML_ROPE_TYPE_NEOX, 64, false, 1, 70}, Rotation{GGML_ROPE_TYPE_NEOX, 64, false, 0, 63}}) {
    SCOPED_TRACE(r.mode + 10 * r.n_rotated);
    RowsGraph graph;
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
    RowsGraph::set_positions(positions, 7);
    if (factors != nullptr) graph.set_random(factors);
    expect_equal(graph, r.extension == 0 && r.n_tokens >= 64 ? 2 : 0);
  }
}

/// The engine computes one graph for several micro-batches: the nodes are still ours, the positions are new.
TEST_F(FastRowsTest, AGraphIsComputedAgain) {
  RowsGraph graph;
  ggml_tensor *x = graph.leaf(GGML_TYPE_F32, 64, 3, 64), *positions = graph.leaf(GGML_TYPE_I32, 64);
  graph.build(ggml_rope_ext(graph.ctx(), x, positions, nullptr, 64, GGML_ROPE_TYPE_NEOX, 4096, 10000, 1, 0, 1,
                            32, 1));
  graph.set_random(x);
  std::vector<std::vector<float>> engines;
  for (const std::int32_t first : {0, 500}) {
    RowsGraph::set_positions(positions, first);
    engines.push_back(graph.compute());
  }
  for (const std::size_t i : {0, 1, 0}) {
    RowsGraph::set_positions(positions, i == 0 ? 0 : 500);
    graph.take_all(*rows_);
    EXPECT_EQ(graph.count(GGML_OP_CUSTOM), 1);
    EXPECT_LT(test::relative_difference(engines[i], graph.compute()), 1e-6);
  }
  rows_->restore();
}

}  // namespace
}  // namespace chunkkv::engine
