// Caches that are copied out of a session and restored, and cells that are hidden from layers.
#include <chunkkv/method.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/random_input.h"
#include "support/small_cache.h"
#include "support/tiny.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace chunkkv::test {
namespace {

std::shared_ptr<Model> tiny(std::uint32_t head_dim = 32) {
  TinyModel what;
  what.head_dim = head_dim;
  return Model::load(write_tiny_model(what, tiny_folder()));
}

class Types : public testing::TestWithParam<CacheType> {};

// A sequence that was compressed, read on and compressed again comes back whatever the order of its cells.
TEST_P(Types, ARestoredSequenceGoesOnBitIdentically) {
  std::mt19937 random(random_seed());
  const auto model = tiny();
  Session session(model, cells_of_two(512, GetParam()));
  session.sequence().prefill(random_tokens(random, 150));
  session.sequence(1).prefill(random_tokens(random, 60));
  session.sequence().compress(random_layers(random, 3, 2, 150, 50));
  session.sequence().prefill(random_tokens(random, 40));
  session.sequence().compress(random_layers(random, 3, 1, 90, 45));
  for (const Token t : {5, 6}) session.sequence().decode(t);

  const Snapshot saved = session.sequence().snapshot();
  EXPECT_EQ(saved.n_entries, 47);
  EXPECT_EQ(saved.tokens.size(), 192u);
  std::vector<std::vector<Position>> positions;
  for (std::int32_t layer = 0; layer < 3; ++layer)
    positions.push_back(session.sequence().positions(layer, 1));
  const auto expected = copy(session.sequence().decode(7));
  session.sequence().truncate(47);

  for (int again = 0; again < 2; ++again) {
    session.sequence().restore(saved);
    EXPECT_EQ(session.sequence().n_entries(), 47);
    EXPECT_EQ(session.sequence().next_position(), 192);
    EXPECT_EQ(session.sequence().tokens(), saved.tokens);
    for (std::int32_t layer = 0; layer < 3; ++layer)
      EXPECT_EQ(session.sequence().positions(layer, 1), positions[std::size_t(layer)]);
    EXPECT_EQ(copy(session.sequence().decode(7)), expected);
    session.sequence().prefill(random_tokens(random, 30));
    session.sequence().compress(random_layers(random, 3, 2, 78, 20));  // and it can be compressed again
  }

  Session other(model, cells_of_two(256, GetParam()));  // another cache, other cells
  other.sequence(1).prefill(random_tokens(random, 33));
  other.sequence().restore(saved);
  const auto elsewhere = copy(other.sequence().decode(7));
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(expected[i], elsewhere[i], 2e-2);
}

INSTANTIATE_TEST_SUITE_P(Cache, Types,
                         testing::Values(CacheType::f32, CacheType::f16, CacheType::bf16, CacheType::q8_0,
                                         CacheType::q4_0),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(Snapshots, RefuseWhatDoesNotFit) {
  std::mt19937 random(1);
  Session session(tiny(), cells_of_two(512));
  session.sequence().prefill(random_tokens(random, 300));
  const Snapshot saved = session.sequence().snapshot();
  Session small(tiny(), cells_of_two(256));
  EXPECT_THROW(small.sequence().restore(saved), Error);
  Session other_type(tiny(), cells_of_two(512, CacheType::q8_0));
  EXPECT_THROW(other_type.sequence().restore(saved), Error);
  EXPECT_EQ(other_type.sequence().n_entries(), 0);
  Session other_model(tiny(64), cells_of_two(512));
  EXPECT_THROW(other_model.sequence().restore(saved), Error);
  Snapshot damaged = saved;
  damaged.order.pop_back();
  EXPECT_THROW(session.sequence().restore(damaged), Error);
  damaged = saved;
  damaged.state.resize(damaged.state.size() / 2);
  EXPECT_THROW(session.sequence().restore(damaged), Error);
  EXPECT_EQ(session.sequence().n_entries(), 0);
  session.sequence().prefill(random_tokens(random, 400));  // all of its cells are free again
}

// A prompt that is read in f16 and kept in another type has about the logits of one that was read in that
// type. Rows that were turned wrongly would give entirely different ones.
TEST(Conversion, LosesNoMoreThanACacheOfThatType) {
  std::mt19937 random(random_seed());
  for (const std::uint32_t head_dim : {32u, 64u, 128u}) {  // the engine turns the rows of the last two
    const auto model = tiny(head_dim);
    const auto tokens = random_tokens(random, 200);
    const auto kept = random_layers(random, 3, 2, 200, 80);
    for (const CacheType type : {CacheType::q8_0, CacheType::q4_0, CacheType::f32, CacheType::bf16}) {
      Session read(model, cells_of_two(256)), native(model, cells_of_two(256, type)),
          converted(model, cells_of_two(256, type));
      read.sequence().prefill(tokens);
      native.sequence().prefill(tokens);
      read.sequence().compress(kept);
      native.sequence().compress(kept);
      converted.sequence().restore(converted.converted(read.sequence().snapshot()));
      const auto truth = copy(read.sequence().decode(7)), its = copy(native.sequence().decode(7)),
                 ours = copy(converted.sequence().decode(7));
      double its_loss = 0, our_loss = 0, size = 0;
      for (std::size_t i = 0; i < truth.size(); ++i) {
        its_loss += std::pow(truth[i] - its[i], 2);
        our_loss += std::pow(truth[i] - ours[i], 2);
        size += std::pow(truth[i], 2);
      }
      EXPECT_LT(std::sqrt(our_loss / size), 2 * std::sqrt(its_loss / size) + 0.01)
          << to_string(type) << ", heads of " << head_dim;
      EXPECT_LT(std::sqrt(our_loss / size), 0.7) << to_string(type) << ", heads of " << head_dim;
    }
  }
}

// ---- hidden cells

class Recorder : public Method {
 public:
  ObservationRequest request() const override {
    ObservationRequest request;
    request.queries = Queries::window;
    request.window = 1;
    return request;
  }
  Scores score(const LayerObservation& observation) const override {
    seen[observation.layer] = observation;
    return {1, observation.n_entries, std::vector<float>(std::size_t(observation.n_entries))};
  }
  SelectionRule rule(const Target&) const override { return {}; }
  mutable std::map<std::int32_t, LayerObservation> seen;
};

TEST(Hidden, CellsGetNoAttentionInTheirLayerAndTheRestIsAsIfTheyWereNotThere) {
  std::mt19937 random(random_seed());
  const auto model = tiny();
  const auto tokens = random_tokens(random, 120);
  // Layer l keeps lengths[l] entries; layer 0 everything.
  const std::size_t lengths[] = {120, 40, 70};
  std::vector<LayerKept> layers;
  for (std::int32_t layer = 0; layer < 3; ++layer) {
    layers.push_back({layer, {}});
    for (int head = 0; head < 2; ++head)
      layers.back().heads.push_back(random_kept(random, 120, std::int32_t(lengths[layer])));
  }
  Session session(model, cells_of_two(256));
  session.sequence().prefill(tokens);
  session.sequence().compress(layers, Uneven::mask);
  EXPECT_EQ(session.sequence().n_entries(), 120);
  for (std::int32_t layer = 0; layer < 3; ++layer) {
    const auto positions = session.sequence().positions(layer, 1);
    EXPECT_EQ(positions, (std::vector<Position>(layers[std::size_t(layer)].heads[1].begin(),
                                                layers[std::size_t(layer)].heads[1].end())));
  }
  EXPECT_THROW(session.sequence().compress(same_layers(3, {0, 119})), UsageError);
  EXPECT_THROW(session.sequence().snapshot(), Error);

  const auto recorder = std::make_shared<Recorder>();
  const Plan plan{recorder, Budget::tokens(121)};
  session.sequence().prefill({{7}}, {&plan, 1});
  for (std::int32_t layer = 0; layer < 3; ++layer) {
    const LayerObservation& o = recorder->seen.at(layer);
    for (std::int32_t head = 0; head < o.n_head; ++head) {
      double sum = 0;
      std::size_t seen = 0;
      for (std::int32_t i = 0; i < o.n_entries; ++i) {
        const float a = o.attention[std::size_t(head * o.n_entries + i)];
        sum += a;
        seen += a > 0 ? 1 : 0;
      }
      EXPECT_NEAR(sum, 1, 1e-3);
      EXPECT_EQ(seen, lengths[layer] + 1) << "layer " << layer;
    }
  }

  // With hidden cells the logits differ from those of the full cache.
  Session full(model, cells_of_two(256));
  full.sequence().prefill(tokens);
  const auto a = copy(session.logits()), b = copy(full.sequence().decode(7));
  double difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference += std::fabs(a[i] - b[i]);
  EXPECT_GT(difference, 0);
  // Cleared and read anew, the sequence sees everything again.
  Session fresh(model, cells_of_two(256));
  fresh.sequence().prefill(tokens);
  session.sequence().clear();
  session.sequence().prefill(tokens);
  EXPECT_EQ(copy(session.sequence().decode(7)), copy(fresh.sequence().decode(7)));
}

TEST(Hidden, PyramidKVKeepsItsBudgetOnAverage) {
  std::mt19937 random(random_seed());
  Session session(tiny(), cells_of_two(256));
  const Plan plan{make_method("pyramidkv:window=8,beta=4"), Budget::tokens(48)};
  session.sequence().prefill(random_tokens(random, 200), {&plan, 1});
  const Selection& chosen = session.sequence().selection();
  // 40 entries beside the window: from 2 * 40 - 10 = 70 in the first layer down to 10 in the last.
  const std::size_t expected[] = {78, 48, 18};
  for (std::size_t layer = 0; layer < 3; ++layer)
    for (const auto& list : chosen.layers[layer].heads) EXPECT_EQ(list.size(), expected[layer]);
  EXPECT_EQ(chosen.uneven, Uneven::mask);
  session.sequence().compress(chosen);
  EXPECT_EQ(session.sequence().n_entries(), 78);
  EXPECT_EQ(session.sequence().positions(2, 0).size(), 18u);
  session.sequence().decode(7);
  EXPECT_EQ(session.sequence().positions(2, 0).size(), 19u);
}

}  // namespace
}  // namespace chunkkv::test
