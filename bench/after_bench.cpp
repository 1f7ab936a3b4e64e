// Measures what observing an answer's first tokens adds to their steps, and the choice after them.
// Needs a model: CHUNKKV_BENCH_MODEL=MODEL.gguf build/dev/bench/chunkkv_bench --benchmark_filter=after
#include <chunkkv/chunkkv.h>

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <vector>

namespace {

constexpr std::int32_t kNSteps = 16;

std::shared_ptr<chunkkv::Model> model() {
  static const char* path = std::getenv("CHUNKKV_BENCH_MODEL");
  static const auto loaded = path != nullptr ? chunkkv::Model::load(path) : nullptr;
  return loaded;
}

/// Times steps after a prompt of state.range(0) tokens: with `choose` only the last of kNSteps, otherwise all
/// but the last.
void after(benchmark::State& state, const char* spec, bool choose) {
  if (!model()) {
    state.SkipWithError("name a model with CHUNKKV_BENCH_MODEL");
    return;
  }
  const auto n = std::int32_t(state.range(0));
  chunkkv::SessionOptions options;
  options.n_cells = n + kNSteps;
  options.n_threads = 1;
  chunkkv::Session session(model(), options);
  const std::vector<chunkkv::Token> prompt(std::size_t(n), 40);
  const chunkkv::Plan plan{chunkkv::make_method(spec), chunkkv::Budget::fraction(0.1)};
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    session.sequence().clear();
    session.sequence().prefill(prompt, {&plan, 1});
    if (!choose) state.ResumeTiming();
    for (std::int32_t i = 0; i + 1 < kNSteps; ++i) session.sequence().decode(50 + i);
    if (choose)
      state.ResumeTiming();
    else
      state.PauseTiming();
    session.sequence().decode(60);
    if (!choose) state.ResumeTiming();
  }
}

BENCHMARK_CAPTURE(after, steps_alone, "snapkv:window=16", false)->Arg(2048)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(after, steps_observed, "snapkv:window=16,after=16", false)
    ->Arg(2048)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(after, last_step_alone, "snapkv:window=16", true)->Arg(2048)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(after, last_step_and_choice, "snapkv:window=16,after=16", true)
    ->Arg(2048)
    ->Unit(benchmark::kMillisecond);

}  // namespace
