// Measures the search for the last similar key of each key, R-KV's redundancy, on one thread.
#include "kernels/aligned_block.h"
#include "kernels/similar_keys.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace {

namespace kernels = chunkkv::kernels;

constexpr std::int64_t kDepth = 64;

/// Keys of unit length: each is one of 400 directions, some far more often than others, and noise. Most find
/// a similar key among the newest, some among none, as in models.
std::vector<float> similar_keys(std::int64_t n) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform;
  std::vector<float> directions(400 * kDepth), keys(std::size_t(n * kDepth));
  for (float& x : directions) x = normal(random);
  for (std::int64_t i = 0; i < n; ++i) {
    const float* direction = directions.data() + std::int64_t(399 * std::pow(uniform(random), 4)) * kDepth;
    const float noise = 0.4f + uniform(random) * 0.6f;
    float* key = keys.data() + i * kDepth;
    float square = 0;
    for (std::int64_t d = 0; d < kDepth; ++d) {
      key[d] = direction[d] + noise * normal(random);
      square += key[d] * key[d];
    }
    for (std::int64_t d = 0; d < kDepth; ++d) key[d] /= std::sqrt(square);
  }
  return keys;
}

/// `threshold` per cent: keys of a lower one find a similar key sooner.
void find_similar(benchmark::State& state, const kernels::SimilarKeysKernel& kernel) {
  const std::int64_t n = state.range(0);
  const std::vector<float> keys = similar_keys(n);
  std::vector<float> sum(kDepth), of_newest(static_cast<std::size_t>(n)),
      of_others(static_cast<std::size_t>(n)), errors(static_cast<std::size_t>(n));
  std::vector<std::int32_t> newest(static_cast<std::size_t>(n));
  kernels::SimilarKeysTask task{.n = n,
                                .depth = kDepth,
                                .keys = keys.data(),
                                .errors = errors.data(),
                                .sum = sum.data(),
                                .threshold = float(state.range(1)) / 100,
                                .newest = newest.data(),
                                .of_newest = of_newest.data(),
                                .of_others = of_others.data()};
  const kernels::AlignedBlock packed(kernel.packed_bytes(task)), own(kernel.thread_bytes(task));
  task.packed = packed.get();
  for ([[maybe_unused]] auto _ : state) {
    kernel.prepare(task);
    kernel.pack(task, 0, n, sum.data());
    std::atomic<std::int64_t> next{0};
    kernel.run(task, own.get(), next);
  }
  state.counters["found"] = double(n - std::count(newest.begin(), newest.end(), 0)) / double(n);
}

const bool kRegistered = [] {
  for (const kernels::SimilarKeysKernel& kernel : kernels::similar_keys_kernels())
    benchmark::RegisterBenchmark((std::string("find_similar/") + kernel.name).c_str(),
                                 [&kernel](benchmark::State& state) { find_similar(state, kernel); })
        ->ArgsProduct({{7563}, {50, 70, 90}})
        ->Unit(benchmark::kMillisecond);
  return true;
}();

}  // namespace
