// Measures the host's part of a compression, scores to kept sets, by number of entries. It must stay linear.
#include <chunkkv/chunkkv.h>

#include <benchmark/benchmark.h>

#include <random>

namespace {

/// What a method asks for, of one layer.
chunkkv::LayerObservation observation(const chunkkv::ObservationRequest& request, std::int32_t n_entries) {
  chunkkv::LayerObservation o;
  o.n_entries = n_entries;
  o.n_head = 32;
  o.n_head_kv = 8;
  o.n_queries = 32;
  const bool by_group = request.attention == chunkkv::AttentionKind::group_max_past;
  o.attention.resize(std::size_t(by_group ? o.n_head_kv : o.n_head) * std::size_t(n_entries));
  std::mt19937 random(1);
  std::exponential_distribution<float> weight(1.0f);
  for (float& a : o.attention) a = weight(random);
  o.value_norms.resize(std::size_t(o.n_head_kv) * std::size_t(n_entries));
  o.key_similarity.resize(o.value_norms.size());
  o.redundancy.resize(o.value_norms.size());
  for (float& norm : o.value_norms) norm = weight(random);
  for (float& cosine : o.key_similarity) cosine = 1 - weight(random);
  for (float& mean : o.redundancy) mean = 0.3f + 0.1f * weight(random);
  return o;
}

/// One layer of a model with 32 query and 8 KV heads at 10 %.
void choose(benchmark::State& state, const char* spec) {
  const auto n = std::int32_t(state.range(0));
  const auto method = chunkkv::make_method(spec);
  const auto seen = observation(method->request(), n);
  const auto budget = chunkkv::Budget::fraction(0.1);
  const chunkkv::Target target{n, budget.resolve(n), budget.share(n)};
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(chunkkv::select_layer(0, method->score(seen), target, method->rule(target)));
  state.SetComplexityN(n);
}

BENCHMARK_CAPTURE(choose, chunkkv, "chunkkv")->RangeMultiplier(4)->Range(1 << 10, 1 << 18)->Complexity();
BENCHMARK_CAPTURE(choose, snapkv, "snapkv")->RangeMultiplier(4)->Range(1 << 10, 1 << 18)->Complexity();
BENCHMARK_CAPTURE(choose, rkv, "rkv")->RangeMultiplier(4)->Range(1 << 10, 1 << 18)->Complexity();
BENCHMARK_CAPTURE(choose, hybrid, "hybrid")->RangeMultiplier(4)->Range(1 << 10, 1 << 18)->Complexity();

}  // namespace
