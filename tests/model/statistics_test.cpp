// Compares statistics computed on the device with slow references: the engine's own attention weights without
// flash attention, and the rows of the cache.
#include <chunkkv/error.h>
#include <chunkkv/session.h>

#include "support/cache_rows.h"
#include "support/exact_attention.h"
#include "support/gpu.h"
#include "support/random_input.h"
#include "support/redundancy_reference.h"
#include "support/tiny_model.h"
#include "unit/host_rows.h"
#include "unit/random_seed.h"

#include <ggml-backend.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNObserved = 150;

/// A copy of `rows`, read in parts of 64: the cache's own can no longer be read after the choice.
std::shared_ptr<const Rows> copy_of(const Rows& rows, std::int32_t n, std::int32_t n_head_kv) {
  const std::size_t row = std::size_t(n_head_kv) * std::size_t(rows.width());
  std::vector<float> all(std::size_t(n) * row);
  for (std::int32_t first = 0; first < n; first += 64) {
    const std::int32_t count = std::min(64, n - first);
    rows.read(first, count, std::span(all).subspan(std::size_t(first) * row, std::size_t(count) * row));
  }
  EXPECT_THROW(rows.read(n - 1, 2, std::span(all).first(2 * row)), Error);
  EXPECT_THROW(rows.read(0, 1, std::span(all).first(row - 1)), Error);
  return std::make_shared<HostRows>(std::move(all), n_head_kv, rows.width());
}

/// A method that stores what it observes of each layer in `seen`.
class RequestRecorder : public Method {
 public:
  explicit RequestRecorder(ObservationRequest request) : request_(request) {}
  ObservationRequest request() const override { return request_; }
  SelectionRule rule(const Target&) const override { return {}; }
  Scores score(const LayerObservation& observation) const override {
    LayerObservation& o = seen[observation.layer] = observation;
    if (o.keys) o.keys = copy_of(*o.keys, o.n_entries, o.n_head_kv);
    if (o.values) o.values = copy_of(*o.values, o.n_entries, o.n_head_kv);
    return {1, observation.n_entries, std::vector<float>(std::size_t(observation.n_entries))};
  }
  mutable std::map<std::int32_t, LayerObservation> seen;

 private:
  ObservationRequest request_;
};

/// The engine's attention weights of every query: [layer][head][query][entry], from a context of its own.
struct AttentionOracle {
  explicit AttentionOracle(const Model& model, const std::vector<Token>& tokens) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = 256;
    params.n_threads = params.n_threads_batch = 1;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.cb_eval_user_data = this;
    params.cb_eval = [](ggml_tensor* t, bool ask, void* self) {
      const bool wanted = std::strncmp(t->name, "kq_soft_max-", 12) == 0;
      if (!ask && wanted) static_cast<AttentionOracle*>(self)->read(t);
      return ask ? wanted : true;
    };
    llama_context* context = llama_init_from_model(model.handle(), params);
    auto copy = tokens;
    llama_decode(context, llama_batch_get_one(copy.data(), std::int32_t(copy.size())));
    llama_free(context);
  }

  void read(const ggml_tensor* t) {
    const auto layer = std::atoi(t->name + 12);
    std::vector<float> all(std::size_t(ggml_nelements(t)));
    ggml_backend_tensor_get(t, all.data(), 0, ggml_nbytes(t));
    auto& heads = weights[layer];
    heads.resize(std::size_t(t->ne[2]));
    for (std::size_t h = 0; h < heads.size(); ++h)
      for (std::int32_t q = 0; q < kNObserved; ++q) {
        const auto begin = all.begin() + std::ptrdiff_t((h * std::size_t(t->ne[1]) + std::size_t(q)) *
                                                        std::size_t(t->ne[0]));
        heads[h].emplace_back(begin, begin + kNObserved);
      }
  }

  /// The attention of the last `n` queries to an entry, added up.
  double sum(std::int32_t layer, std::size_t head, std::size_t entry, std::int32_t n) const {
    double total = 0;
    for (std::int32_t q = kNObserved - n; q < kNObserved; ++q)
      total += weights.at(layer)[head][std::size_t(q)][entry];
    return total;
  }

  std::map<std::int32_t, std::vector<std::vector<std::vector<float>>>> weights;
};

Session make_session(const std::shared_ptr<Model>& model, bool flash_attention,
                     CacheType type = CacheType::f32) {
  SessionOptions options;
  options.n_cells = 256;
  options.n_ubatch = 40;  // several micro-batches, the last one shorter than the window
  options.n_threads = 2;
  options.flash_attention = flash_attention;
  options.type_k = options.type_v = type;
  return Session(model, options);
}

std::map<std::int32_t, LayerObservation> observe(Session& session, const std::vector<Token>& tokens,
                                                 const ObservationRequest& request) {
  const auto recorder = std::make_shared<RequestRecorder>(request);
  const Plan plan{recorder, Budget::tokens(kNObserved)};
  session.sequence().prefill(tokens, {&plan, 1});
  return recorder->seen;
}

class AttentionSums : public testing::TestWithParam<std::tuple<NamedModel, bool, std::int32_t>> {};

TEST_P(AttentionSums, EqualTheEnginesWeights) {
  const auto& [named, flash_attention, window] = GetParam();
  const auto model = Model::load(write_tiny_model(named.model, tiny_folder()));
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, kNObserved);
  ObservationRequest request;
  request.queries = window > 0 ? Queries::window : Queries::all;
  request.window = window;
  Session session = make_session(model, flash_attention);
  const auto seen = observe(session, tokens, request);
  const AttentionOracle oracle(*model, tokens);

  const std::int32_t n_queries = window > 0 ? window : kNObserved;
  // Flash attention rounds the keys to F16 on the way to the next layer. Our norms and rotations differ from
  // the engine's in the last bit, which its GELU, a table of F16 numbers, makes a step of 0.05 %.
  const bool has_gelu = named.model.architecture == "gemma";
  const double tolerance = flash_attention ? 2e-2 : has_gpu() ? 5e-3 : has_gelu ? 1e-3 : 2e-5;
  ASSERT_EQ(seen.size(), std::size_t(model->info().n_layer));
  for (const auto& [layer, o] : seen) {
    EXPECT_EQ(o.n_queries, n_queries);
    ASSERT_EQ(o.n_entries, kNObserved);
    ASSERT_EQ(o.attention.size(), std::size_t(o.n_head) * kNObserved);
    for (std::size_t h = 0; h < std::size_t(o.n_head); ++h)
      for (std::size_t i = 0; i < kNObserved; ++i) {
        const double expected = oracle.sum(layer, h, i, n_queries);
        ASSERT_NEAR(o.attention[h * kNObserved + i], expected, tolerance * (1 + expected))
            << "layer " << layer << ", head " << h << ", entry " << i;
      }
  }
}

INSTANTIATE_TEST_SUITE_P(All, AttentionSums,
                         testing::Combine(testing::ValuesIn(compressible_models()), testing::Bool(),
                                          testing::Values(1, 31, 0)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name +
                                  (std::get<1>(info.param) ? "_flash" : "_plain") + "_window" +
                                  std::to_string(std::get<2>(info.param));
                         });

TEST(Statistics, GroupMaximaOverPastEntries) {
  const auto model = Model::load(write_tiny_model({}, tiny_folder()));
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, kNObserved);
  constexpr std::int32_t window = 7;
  ObservationRequest request;
  request.queries = Queries::window;
  request.window = window;
  request.attention = AttentionKind::group_max_past;
  Session session = make_session(model, false);
  const auto seen = observe(session, tokens, request);
  const AttentionOracle oracle(*model, tokens);

  // The engine's weights tell logits only up to a constant per query and head, so maxima over the query heads
  // of a group cannot be computed from them. Here each query's weights must add up to 1 before the window,
  // and be 0 in it.
  for (const auto& [layer, o] : seen) {
    ASSERT_EQ(o.attention.size(), std::size_t(o.n_head_kv) * kNObserved);
    for (std::size_t g = 0; g < std::size_t(o.n_head_kv); ++g) {
      double total = 0;
      for (std::size_t i = 0; i < kNObserved; ++i) {
        const float value = o.attention[g * kNObserved + i];
        if (i >= kNObserved - window) {
          EXPECT_EQ(value, 0.0f);
        }
        EXPECT_GE(value, 0.0f);
        total += value;
      }
      EXPECT_NEAR(total, window, 1e-4);
    }
  }

  // With one query head per group the maximum is that head: its weights, renormalised before the window.
  TinyModel mha;
  mha.n_head_kv = 4;
  const auto single = Model::load(write_tiny_model(mha, tiny_folder()));
  Session other = make_session(single, false);
  const AttentionOracle exact(*single, tokens);
  for (const auto& [layer, o] : observe(other, tokens, request))
    for (std::size_t h = 0; h < std::size_t(o.n_head); ++h)
      for (std::size_t i = 0; i + window < kNObserved; ++i) {
        double expected = 0;
        for (std::size_t q = kNObserved - window; q < kNObserved; ++q) {
          const auto& row = exact.weights.at(layer)[h][q];
          double past = 0;
          for (std::size_t j = 0; j + window < kNObserved; ++j) past += row[j];
          expected += row[i] / past;
        }
        ASSERT_NEAR(o.attention[h * kNObserved + i], expected, has_gpu() ? 1e-2 : 1e-3)
            << "layer " << layer << ", head " << h;
      }
}

class KeyStatistics : public testing::TestWithParam<std::string> {};

TEST_P(KeyStatistics, EqualSlowReferences) {
  const auto seed = random_seed();
  SCOPED_TRACE(testing::Message() << "CHUNKKV_TEST_SEED=" << seed);
  TinyModel tiny;
  tiny.head_dim = 64;
  const auto model = Model::load(write_tiny_model(tiny, tiny_folder()));
  std::mt19937 random(seed);
  const auto tokens =
      random_tokens(random, kNObserved, 40);  // a small alphabet: some keys resemble each other
  ObservationRequest request;
  request.key_norms = request.value_norms = request.key_similarity = true;
  request.keys = request.values = true;
  request.redundancy_threshold = 0.5f;
  Session session = make_session(model, true, parse_cache_type(GetParam()));
  const auto seen = observe(session, tokens, request);
  const CacheRows rows = read_cache(session.handle(), 0);

  const auto norm = [](const std::vector<float>& x) {
    double sum = 0;
    for (const float v : x) sum += double(v) * double(v);
    return std::sqrt(sum);
  };
  for (const auto& [layer, o] : seen) {
    const auto heads = std::size_t(o.n_head_kv);
    for (std::size_t h = 0; h < heads; ++h) {
      std::vector<std::vector<float>> keys, values;
      std::vector<float> flat;
      for (std::size_t i = 0; i < kNObserved; ++i) {
        keys.push_back(
            CacheRows::floats(CacheRows::head(rows.k[std::size_t(layer)][i], h, heads), rows.k_type));
        values.push_back(
            CacheRows::floats(CacheRows::head(rows.v[std::size_t(layer)][i], h, heads), rows.v_type));
      }
      std::vector<double> mean(keys[0].size());
      for (const auto& key : keys)
        for (std::size_t d = 0; d < key.size(); ++d) mean[d] += key[d] / norm(key) / kNObserved;
      double mean_norm = 0;
      for (const double m : mean) mean_norm += m * m;
      mean_norm = std::sqrt(mean_norm);
      for (const auto& key : keys) flat.insert(flat.end(), key.begin(), key.end());
      const auto redundancy = redundancy_reference(flat, kNObserved, 0.5f);
      for (std::size_t i = 0; i < kNObserved; ++i) {
        const auto row_of = [&](const Rows& from) {
          std::vector<float> row(heads * std::size_t(from.width()));
          from.read(std::int32_t(i), 1, row);
          const auto begin = row.begin() + std::ptrdiff_t(h * std::size_t(from.width()));
          return std::vector<float>(begin, begin + from.width());
        };
        ASSERT_EQ(row_of(*o.keys), keys[i]);
        ASSERT_EQ(row_of(*o.values), values[i]);
        double dot = 0;
        for (std::size_t d = 0; d < mean.size(); ++d) dot += mean[d] * keys[i][d];
        const auto at = h * kNObserved + i;
        ASSERT_NEAR(o.key_norms[at], norm(keys[i]), 1e-3 * norm(keys[i]));
        ASSERT_NEAR(o.value_norms[at], norm(values[i]), 1e-3 * norm(values[i]));
        ASSERT_NEAR(o.key_similarity[at], dot / mean_norm / norm(keys[i]), 1e-4);
        // On a GPU a similarity next to the threshold may fall on its other side; that is 0.5 / n_prompt.
        ASSERT_NEAR(o.redundancy[at], redundancy[i], has_gpu() ? 2e-3 : 1e-4)
            << "layer " << layer << ", head " << h << ", entry " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(CacheTypes, KeyStatistics, testing::Values("f32", "f16", "bf16", "q8_0", "q4_0"),
                         [](const auto& info) { return info.param; });

TEST(Observing, LayersThatReuseAreNotObserved) {
  class Reusing : public RequestRecorder {
   public:
    using RequestRecorder::RequestRecorder;
    std::int32_t reuse() const override { return 2; }
  };
  ObservationRequest request;
  request.queries = Queries::window;
  request.window = 8;
  const auto model = Model::load(write_tiny_model({}, tiny_folder()));
  const auto method = std::make_shared<Reusing>(request);
  Session session = make_session(model, true);
  std::mt19937 random(1);
  Plan plan{method, Budget::tokens(30)};
  plan.keep_scores = true;
  session.sequence().prefill(random_tokens(random, kNObserved), {&plan, 1});
  EXPECT_EQ(method->seen.size(), 2u);  // layers 0 and 2 of 3
  EXPECT_EQ(method->seen.count(1), 0u);
  EXPECT_EQ(session.sequence().selection().layers[1].heads, session.sequence().selection().layers[0].heads);
  EXPECT_TRUE(session.sequence().selection().scores[1].values.empty());
}

TEST(Observing, SequencesInOneCacheAreToldApart) {
  const auto model = Model::load(write_tiny_model({}, tiny_folder()), exact_attention());
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, kNObserved);
  ObservationRequest request;
  request.queries = Queries::window;
  request.window = 16;
  request.key_norms = true;
  request.redundancy_threshold = 0.5f;

  SessionOptions options;
  options.n_cells = 512;
  options.n_ubatch = 64;
  options.n_threads = 1;
  options.n_sequences = 2;
  std::vector<std::map<std::int32_t, LayerObservation>> seen;
  for (const bool alone : {true, false}) {
    Session session(model, options);
    if (!alone) session.sequence().prefill(random_tokens(random, 90));
    const auto recorder = std::make_shared<RequestRecorder>(request);
    const Plan plan{recorder, Budget::tokens(kNObserved)};
    session.sequence(1).prefill(tokens, {&plan, 1});
    seen.push_back(recorder->seen);
  }
  // The cells and so the order of sums differ. The first tokens' sums are above 1, so tolerance is relative.
  for (const auto& [layer, o] : seen[0]) {
    const LayerObservation& other = seen[1].at(layer);
    for (std::size_t i = 0; i < o.attention.size(); ++i)
      ASSERT_NEAR(o.attention[i], other.attention[i], 0.01 + 0.01 * o.attention[i]);
    for (std::size_t i = 0; i < o.key_norms.size(); ++i)
      ASSERT_NEAR(o.key_norms[i], other.key_norms[i], 1e-2);
    for (std::size_t i = 0; i < o.redundancy.size(); ++i)
      ASSERT_NEAR(o.redundancy[i], other.redundancy[i], 1e-2);
  }
}

}  // namespace
}  // namespace chunkkv::test
