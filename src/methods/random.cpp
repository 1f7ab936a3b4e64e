#include "methods/list.h"
#include "methods/parameters.h"

#include <limits>

namespace chunkkv {
namespace {

/// One step of SplitMix64: a well-mixed number made of `state`, the same on every machine.
std::uint64_t mix(std::uint64_t state) {
  state += 0x9e3779b97f4a7c15;
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
  state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
  return state ^ (state >> 31);
}

float uniform(std::uint64_t bits) {
  return float(bits >> 40) * 0x1p-24f;
}

/// Every chunk of every layer draws its own score, which all of its entries hold.
class Random final : public Method {
 public:
  explicit Random(const Parameters& p)
      : seed_(std::uint64_t(p.integer("seed"))), chunk_(p.integer("chunk")) {}

  Scores score(const LayerObservation& observation) const override {
    const std::uint64_t layer = mix(mix(seed_) + std::uint64_t(observation.layer));
    Scores scores{1, observation.n_entries, std::vector<float>(std::size_t(observation.n_entries))};
    for (std::int32_t i = 0; i < observation.n_entries; ++i)
      scores.values[std::size_t(i)] = uniform(mix(layer + std::uint64_t(i / chunk_)));
    return scores;
  }

  SelectionRule rule(const Target&) const override {
    return {.chunk = chunk_, .chunk_score = ChunkScore::mean};
  }

 private:
  std::uint64_t seed_;
  std::int32_t chunk_;
};

}  // namespace

MethodInfo random_method() {
  return {"random",
          "keeps random tokens or chunks, drawn anew in each layer: the floor to beat",
          "uniform draws, nothing protected",
          {integer_parameter("seed", 0, 0, std::numeric_limits<std::int32_t>::max(),
                             "another seed, another draw"),
           chunk_parameter(1)},
          [](const Parameters& p) { return std::make_shared<Random>(p); }};
}

}  // namespace chunkkv
