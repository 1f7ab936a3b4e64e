// Models of which only some layers keep every token: those are compressed, and the other layers stay alike.
#include <chunkkv/error.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/masked_context.h"
#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/small_cache.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <map>
#include <vector>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNParts = 300, kNPartsKept = 60;
// For a Q8_0 cache, as with an F16 one the engine adds up values in half precision, in the order of cells.
// Single roundings to 8 bits flip; where none does, the difference is 2e-7.
constexpr double kPartsTolerance = 5e-3;

class Parts : public testing::TestWithParam<MixedModel> {
 protected:
  std::string file_ = write_tiny_model(GetParam().model, tiny_folder());
  std::shared_ptr<Model> model_ = Model::load(file_);
  std::mt19937 random_{random_seed()};
  std::vector<Token> tokens_ = random_tokens(random_, kNParts);

  std::size_t n_layers() const { return GetParam().kept_layers.size(); }

  /// Another kept set in every layer; the newest entry stays.
  std::vector<LayerKept> random_layers() {
    std::vector<LayerKept> layers;
    for (std::size_t layer = 0; layer < n_layers(); ++layer)
      layers.push_back({std::int32_t(layer), {random_kept(random_, kNParts, kNPartsKept)}});
    return layers;
  }
  static std::vector<float> go_on(Session& session) { return logits_after(session, {7, 9, 40}); }
};

TEST_P(Parts, AreToldApart) {
  Session session(model_, cells(1024));
  EXPECT_EQ(session.cache_parts().compressed, GetParam().kept_layers);
  EXPECT_EQ(session.cache_parts().n_window > 0, GetParam().has_window);
  EXPECT_EQ(session.cache_parts().n_state > 0, GetParam().has_state);
  // In this cache the layers with windows have as many cells as the others.
  Session small(model_, cells(192));
  EXPECT_EQ(small.cache_parts().compressed, GetParam().kept_layers);
}

TEST_P(Parts, KeepingAllLeavesTheNextLogitsBitIdentical) {
  std::vector<std::vector<float>> runs;
  for (const bool compressed : {false, true}) {
    Session session(model_, cells(1024));
    const Plan plan{make_method("snapkv:window=16"), Budget::parse("100%")};
    session.sequence().prefill(tokens_, compressed ? std::span(&plan, 1) : std::span<const Plan>{});
    if (compressed) session.sequence().compress(session.sequence().selection().layers);
    runs.push_back(go_on(session));
  }
  EXPECT_EQ(runs[0], runs[1]);
}

TEST_P(Parts, CompressedEqualsDroppedCellsMaskedInTheseLayersOnly) {
  const std::vector<LayerKept> layers = random_layers();
  // The engine's own arithmetic, as in what is expected.
  Session session(Model::load(file_, {.fast_prefill = false}), cells(1024, CacheType::q8_0));
  session.sequence().prefill(tokens_);
  session.sequence().compress(layers);
  const std::vector<float> actual = go_on(session);

  std::map<std::int32_t, std::vector<std::int32_t>> dropped;
  for (std::size_t layer = 0; layer < n_layers(); ++layer)
    for (std::int32_t entry = 0; entry < kNParts; ++entry)
      if (!std::binary_search(layers[layer].heads[0].begin(), layers[layer].heads[0].end(), entry))
        dropped[GetParam().kept_layers[layer]].push_back(entry);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 1024;
  params.n_ubatch = params.n_batch = 64;
  params.n_threads = params.n_threads_batch = 1;
  params.type_k = params.type_v = GGML_TYPE_Q8_0;
  const auto expected = [&](bool masked) {
    MaskedContext context(file_, params);
    context.read(tokens_);
    if (masked) context.hide(dropped);
    std::vector<float> all;
    for (const Token t : {7, 9, 40}) {
      const auto logits = context.decode(t);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  };
  const double difference = relative_difference(expected(true), actual);
  const double full = relative_difference(expected(false), actual);
  EXPECT_LT(difference, kPartsTolerance);
  EXPECT_GT(full, 3 * difference);  // the full cache does differ
  EXPECT_GT(full, 0.01);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Parts, testing::ValuesIn(mixed_models()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace chunkkv::test
