// Compares sums of every stride-th query's attention with the attention of each query.
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/random_input.h"
#include "support/small_cache.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNStrided = 150;

/// The expected sums are added up from the attention rows that evaluating the same prompt gives.
TEST(StridedSums, AreThoseOfTheirQueries) {
  const auto model = Model::load(write_tiny_model({}, tiny_folder()));
  std::mt19937 random(random_seed());
  const std::vector<Token> prompt = random_tokens(random, kNStrided);
  for (const std::int32_t stride : {1, 7, 64, 500}) {
    Plan strided{make_method("h2o:stride=" + std::to_string(stride)), Budget::tokens(60)};
    strided.keep_scores = true;
    Session session(model, cells(256, CacheType::f32)), shown(model, cells(256, CacheType::f32));
    session.sequence().prefill(prompt, {&strided, 1});
    std::vector<std::vector<double>> sums(3, std::vector<double>(2 * std::size_t(kNStrided)));
    std::size_t n_observed = 0;
    shown.sequence().evaluate(
        prompt, [](std::size_t, auto) {},
        [&](const AttentionRows& rows) {
          const std::int32_t group = rows.n_head / 2;
          for (std::int32_t h = 0; h < rows.n_head; ++h)
            for (std::int32_t q = 0; q < rows.n_queries; ++q) {
              if ((rows.first_query + q) % stride != 0) continue;
              ++n_observed;
              for (std::int32_t i = 0; i < rows.n_entries; ++i)
                sums[std::size_t(rows.layer)][std::size_t((h / group) * kNStrided + i)] +=
                    double(rows.weights[std::size_t((h * rows.n_queries + q) * rows.n_entries + i)]) / group;
            }
        });
    EXPECT_GT(n_observed, 0U);
    for (std::size_t layer = 0; layer < 3; ++layer)
      for (std::size_t i = 0; i < sums[layer].size(); ++i)
        ASSERT_NEAR(session.sequence().selection().scores[layer].values[i], sums[layer][i],
                    1e-3 + 1e-3 * sums[layer][i])
            << "stride " << stride << ", layer " << layer << ", value " << i;
  }
}

}  // namespace
}  // namespace chunkkv::test
