// Compares fidelity with slow references on a tiny model.
#include <chunkkv/fidelity.h>
#include <chunkkv/metrics.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "metrics/distributions.h"
#include "support/random_input.h"
#include "support/tiny.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNText = 150;

Session make_session() {
  SessionOptions options;
  options.n_cells = 256;
  options.n_ubatch = 64;
  options.n_threads = 1;
  options.type_k = options.type_v = CacheType::f32;
  return {tiny(), options};
}

TEST(FidelityTest, KeepingAllIsTheFullCache) {
  std::mt19937 random(random_seed());
  Session session = make_session();
  const Plan plans[] = {{make_method("snapkv:window=8"), Budget::parse("100%")},
                        {make_method("full"), Budget()},
                        {make_method("random"), Budget::parse("5%")}};
  const auto results = measure_fidelity(session.sequence(), random_tokens(random, kNText), plans,
                                        {.n_tokens = 20, .progress = {}});
  EXPECT_EQ(session.sequence().n_entries(), 0);
  for (int i : {0, 1}) {
    const Fidelity& f = results[std::size_t(i)];
    EXPECT_EQ(f.n_kept, kNText);
    EXPECT_LT(f.kl, 1e-6);
    EXPECT_EQ(f.top1, 1);
    for (std::size_t layer = 0; layer < 3; ++layer) {
      EXPECT_EQ(f.kv_l1[layer], 0);
      EXPECT_NEAR(f.attention_cosine[layer], 1, 1e-6);
      EXPECT_NEAR(f.attention_mass[layer], 1, 1e-5);
    }
  }
  EXPECT_GT(results[2].kl, 100 * results[0].kl + 1e-4);  // a small cache differs
  EXPECT_LT(results[2].attention_mass[0], 0.5);
}

/// A `kept` sequence in a cache of the same types changes nothing; other types add the loss of rounding.
TEST(FidelityTest, MeasuresWhatOtherTypesLoseToo) {
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, kNText);
  const Plan plans[] = {{make_method("full"), Budget()},
                        {make_method("snapkv:window=8"), Budget::tokens(40)}};
  Session session = make_session();
  const auto measured = [&](Sequence* kept) {
    return measure_fidelity(session.sequence(), tokens, plans,
                            {.n_tokens = 20, .progress = {}, .kept = kept});
  };
  const auto plain = measured(nullptr);
  Session same = make_session();
  const auto copied = measured(&same.sequence());
  EXPECT_EQ(same.sequence().n_entries(), 0);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(plain[i].kl, copied[i].kl);

  SessionOptions options = session.options();
  options.type_k = options.type_v = CacheType::q4_0;
  Session quantised(tiny(), options);
  const auto converted = measured(&quantised.sequence());
  EXPECT_LT(plain[0].kl, 1e-6);
  EXPECT_GT(converted[0].kl, 1e-5);
  EXPECT_EQ(converted[1].n_kept, 40);
  EXPECT_NE(converted[1].kl, plain[1].kl);
}

TEST(FidelityTest, EqualsItsDefinitions) {
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, kNText);
  Session session = make_session();
  const Plan plan{make_method("snapkv:window=8"), Budget::tokens(40)};
  const Fidelity f =
      measure_fidelity(session.sequence(), tokens, {&plan, 1}, {.n_tokens = 12, .progress = {}})[0];
  EXPECT_EQ(f.n_kept, 40);
  EXPECT_EQ(f.n_entries, kNText);

  // The answer, token by token, from the full and from the compressed cache.
  Session full = make_session(), kept = make_session();
  full.sequence().prefill(tokens);
  kept.sequence().prefill(tokens, {&plan, 1});
  const auto layers = kept.sequence().selection().layers;
  const Snapshot rows = full.sequence().snapshot();
  kept.sequence().compress(kept.sequence().selection());
  double kl = 0, top1 = 0;
  std::vector<Token> answer;
  std::span<const float> logits = full.logits();
  for (std::int32_t i = 0; i < f.n_tokens; ++i) {
    answer.push_back(Token(most_likely(logits)));
    const auto p = log_softmax(full.sequence().decode(answer.back()));
    const auto q = log_softmax(kept.sequence().decode(answer.back()));
    logits = full.logits();
    kl += kl_divergence(p, q) / f.n_tokens;
    top1 += double(most_likely(p) == most_likely(q)) / f.n_tokens;
  }
  EXPECT_NEAR(f.kl, kl, 1e-3 + 0.05 * kl);
  EXPECT_NEAR(f.top1, top1, 1.5 / f.n_tokens);  // a near tie may turn

  // |k| and |v| from the engine's own copy of the cache.
  const std::size_t width = 64, header = 16 + 12 * std::size_t(kNText) + 8;
  const std::size_t one = 12 + width * 4 * std::size_t(kNText);
  for (std::size_t layer = 0; layer < 3; ++layer) {
    double all = 0, dropped = 0;
    for (const std::size_t tensor : {layer, 3 + layer})
      for (std::size_t entry = 0; entry < std::size_t(kNText); ++entry)
        for (std::size_t x = 0; x < width; ++x) {
          float value = 0;
          std::memcpy(&value, rows.state.data() + header + one * tensor + 12 + (entry * width + x) * 4, 4);
          all += std::fabs(value);
          const auto& list = layers[layer].heads[x / 32];
          if (!std::binary_search(list.begin(), list.end(), std::int32_t(entry))) dropped += std::fabs(value);
        }
    EXPECT_NEAR(f.kv_l1[layer], dropped / all, 1e-4);
  }

  // The cosine of the two attention rows, computed here for one query at a time.
  Session again = make_session();
  again.sequence().prefill(tokens);
  std::map<std::int32_t, std::pair<double, double>> sums;
  std::int32_t n_seen = 0;
  again.sequence().evaluate(
      answer, [](std::size_t, std::span<const float>) {},
      [&](const AttentionRows& attention) {
        const auto n = std::size_t(attention.n_entries);
        for (std::int32_t head = 0; head < attention.n_head; ++head)
          for (std::int32_t query = 0; query < attention.n_queries; ++query) {
            const float* a = attention.weights.data() + std::size_t(head * attention.n_queries + query) * n;
            const auto& list = layers[std::size_t(attention.layer)].heads[std::size_t(head / 2)];
            std::vector<double> b(n);
            double total = 0, prompt = 0, mass = 0, visible = 0;
            for (std::size_t i = 0; i < n; ++i) {
              const bool is_kept =
                  i >= std::size_t(kNText) || std::binary_search(list.begin(), list.end(), std::int32_t(i));
              if (is_kept) b[i] = a[i];
              total += b[i];
              visible += a[i];
              if (i >= std::size_t(kNText)) {
                if (std::int32_t(i) > kNText + attention.first_query + query) {
                  EXPECT_EQ(a[i], 0);
                }
                continue;
              }
              prompt += a[i];
              if (is_kept) mass += a[i];
            }
            EXPECT_NEAR(visible, 1, 1e-4);
            double ab = 0, aa = 0, bb = 0;
            for (std::size_t i = 0; i < n; ++i) {
              b[i] /= total;  // the softmax over what is left
              ab += a[i] * b[i];
              aa += double(a[i]) * a[i];
              bb += b[i] * b[i];
            }
            sums[attention.layer].first += ab / std::sqrt(aa * bb);
            sums[attention.layer].second += mass / prompt;
            if (attention.layer == 0) ++n_seen;
          }
      });
  EXPECT_EQ(n_seen, 4 * f.n_tokens);
  for (std::size_t layer = 0; layer < 3; ++layer) {
    EXPECT_NEAR(f.attention_cosine[layer], sums[std::int32_t(layer)].first / n_seen, 1e-3);
    EXPECT_NEAR(f.attention_mass[layer], sums[std::int32_t(layer)].second / n_seen, 1e-3);
  }
  EXPECT_EQ(f.similarity, layer_similarity(layers));
}

}  // namespace
}  // namespace chunkkv::test
