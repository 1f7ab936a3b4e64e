#include "cli/measure/speed.h"

#include "base/stopwatch.h"
#include "cli/measure/machine.h"
#include "cli/measure/spread.h"
#include "cli/show/text_table.h"
#include "cli/show/units.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace chunkkv::cli {
namespace {

std::string with_spread(const Spread& spread, int digits) {
  return fmt::format("{:.{}f} ({:.{}f}-{:.{}f})", spread.median, digits, spread.min, digits, spread.max,
                     digits);
}

}  // namespace

SpeedRun measure_speed(const std::shared_ptr<Model>& model, SessionOptions options,
                       const SpeedCase& speed_case, std::span<const Token> tokens,
                       const SpeedProgress& progress) {
  const auto tell = [&](std::int64_t read, std::int32_t generated) {
    if (!progress(std::int32_t(read), generated)) throw Interrupted("interrupted");
  };
  const std::span<const Token> prompt = tokens.first(std::size_t(speed_case.input));
  options.n_cells = speed_case.input + speed_case.output;
  const auto session = open_session(model, options);
  reset_peak_memory();

  SpeedRun run;
  SpeedSample& sample = run.sample;
  Stopwatch total(sample.total_ms);
  Stopwatch first(sample.first_token_ms);
  session->sequence().prefill(prompt, {&speed_case.plan, 1}, [&](const ReadState& state) {
    tell(state.done, 0);
    return true;
  });
  sample.bytes_before = session->sequence().use().bytes_used;
  if (!speed_case.plan.method->keeps_all()) session->sequence().compress_when_chosen();
  first.stop();  // the first token follows from the logits of the prompt
  const auto note_cache = [&](std::int32_t n_answer) {
    sample.kept_tokens = session->sequence().n_entries() - n_answer;
    sample.bytes_after = session->sequence().use().bytes_used;
  };
  note_cache(0);

  double rest_ms = 0;
  Stopwatch rest(rest_ms);
  for (std::int32_t i = 1; i < speed_case.output; ++i) {
    const bool compresses = session->sequence().n_until_compression() == 1;
    session->sequence().decode(prompt[std::size_t(i) % prompt.size()]);
    if (compresses) note_cache(i);
    tell(speed_case.input, i);
  }
  rest.stop();
  total.stop();
  sample.per_token_ms = speed_case.output > 1 ? rest_ms / (speed_case.output - 1) : 0;
  sample.bytes_peak = peak_memory();
  sample.bytes_gpu = gpu_memory();
  run.weights.assign(session->weights().begin(), session->weights().end());
  const Timings& timings = session->timings();
  sample.observe_ms = timings.observe;
  sample.select_ms = timings.select;
  sample.move_ms = timings.move;
  sample.prefill_ms = timings.prefill;
  return run;
}

std::string SpeedResults::table() const {
  std::string text;
  for (std::size_t begin = 0, end = 0; begin < cases.size(); begin = end) {
    const auto same_lengths = [&](const SpeedCase& speed_case) {
      return speed_case.input == cases[begin].input && speed_case.output == cases[begin].output;
    };
    while (end < cases.size() && same_lengths(cases[end])) ++end;
    text += fmt::format("{} tokens read, {} generated, {} repetitions\n", cases[begin].input,
                        cases[begin].output, samples[begin].size());
    std::vector<std::vector<std::string>> rows = {{"method", "keep", "kept", "latency s (spread)", "speed-up",
                                                   "first token s", "ms/token", "tokens/s",
                                                   "overhead % (spread)", "cache MiB", "peak MiB"}};
    const bool on_gpu = samples[begin].front().bytes_gpu > 0;
    if (on_gpu) rows.front().push_back("GPU MiB");
    double full_seconds = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const SpeedCase& speed_case = cases[i];
      const auto of = [&](auto value) { return spread(samples[i], value); };
      const Spread seconds = of([](const SpeedSample& s) { return s.total_ms / 1000; });
      if (speed_case.plan.method->keeps_all()) full_seconds = seconds.median;
      rows.push_back(
          {speed_case.plan.method->spec(), speed_case.plan.budget.to_string(),
           std::to_string(samples[i].front().kept_tokens), with_spread(seconds, 2),
           fmt::format("{:.2f}", full_seconds / seconds.median),
           fmt::format("{:.2f}", of([](const SpeedSample& s) { return s.first_token_ms / 1000; }).median),
           fmt::format("{:.2f}", of(&SpeedSample::per_token_ms).median),
           fmt::format("{:.1f}", of([&](const SpeedSample& s) {
                                   return s.throughput(speed_case.input, speed_case.output);
                                 }).median),
           with_spread(of([](const SpeedSample& s) { return 100 * s.overhead(); }), 2),
           fmt::format("{:.1f}", in_mebibytes(samples[i].front().bytes_after)),
           fmt::format("{:.0f}",
                       of([](const SpeedSample& s) { return in_mebibytes(s.bytes_peak); }).median)});
      if (on_gpu)
        rows.back().push_back(
            fmt::format("{:.0f}", of([](const SpeedSample& s) { return in_mebibytes(s.bytes_gpu); }).median));
    }
    text += text_table(rows) + "\n";
  }
  text +=
      "latency: from the start of reading to the last token; speed-up: the full cache's latency over it; "
      "tokens/s:\n"
      "read and generated over latency; overhead: observing, selecting and moving, as a share of reading; "
      "cache: after\n"
      "compression; peak: memory of the process, the model included; GPU: used there, by other programs "
      "too\n";
  return text;
}

results::Json SpeedResults::to_json() const {
  results::Json all = results::Json::array();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const SpeedCase& speed_case = cases[i];
    const auto of = [&](auto value) { return cli::to_json(spread(samples[i], value)); };
    all.push_back({{"method", speed_case.plan.method->spec()},
                   {"keep", speed_case.plan.budget.to_string()},
                   {"input", speed_case.input},
                   {"output", speed_case.output},
                   {"kept_tokens", samples[i].front().kept_tokens},
                   {"repetitions", samples[i].size()},
                   {"latency_ms", of(&SpeedSample::total_ms)},
                   {"first_token_ms", of(&SpeedSample::first_token_ms)},
                   {"per_token_ms", of(&SpeedSample::per_token_ms)},
                   {"throughput", of([&](const SpeedSample& s) {
                      return s.throughput(speed_case.input, speed_case.output);
                    })},
                   {"prefill_ms", of(&SpeedSample::prefill_ms)},
                   {"observe_ms", of(&SpeedSample::observe_ms)},
                   {"select_ms", of(&SpeedSample::select_ms)},
                   {"move_ms", of(&SpeedSample::move_ms)},
                   {"overhead_of_prefill", of(&SpeedSample::overhead)},
                   {"cache_bytes",
                    {{"before", samples[i].front().bytes_before}, {"after", samples[i].front().bytes_after}}},
                   {"peak_bytes", of(&SpeedSample::bytes_peak)}});
    if (speed_case.window > 0) all.back()["window"] = speed_case.window;
    if (samples[i].front().bytes_gpu > 0) all.back()["gpu_bytes"] = of(&SpeedSample::bytes_gpu);
  }
  return all;
}

}  // namespace chunkkv::cli
