#include "cli/measure/measure.h"

#include "base/stopwatch.h"
#include "cli/measure/machine.h"
#include "cli/measure/spread.h"
#include "cli/show/units.h"
#include "cli/show/weight_view.h"

#include <chunkkv/prompt_attention.h>

#include <fmt/format.h>

namespace chunkkv::cli {
Measurement::Measurement(Session& session, std::span<const Token> tokens, std::int32_t n_predict,
                         std::span<const Plan> plans)
    : session_(session),
      sequence_(session.sequence()),
      tokens_(tokens),
      n_predict_(n_predict),
      plans_(plans),
      samples_(plans.size()) {}

double Measurement::ms_per_token() {
  sequence_.decode(tokens_[0]);  // the first token sets up the graph and is not timed
  const Timer timer;
  for (std::int32_t i = 1; i < n_predict_; ++i) sequence_.decode(tokens_[std::size_t(i) % tokens_.size()]);
  return timer.ms() / (n_predict_ - 1);
}

void Measurement::run(std::size_t index, const Progress& progress) {
  sequence_.clear();
  const Timings before = session_.timings();
  sequence_.prefill(tokens_, plans_.subspan(index, 1), progress);
  Sample sample{};
  const Checkpoint prompt_end = sequence_.checkpoint();
  // A method that observes the answer's first tokens chooses here, before anything is timed.
  for (std::size_t i = 0; !sequence_.has_chosen(); ++i) sequence_.decode(tokens_[i % tokens_.size()]);
  sequence_.go_back(prompt_end);
  sample.full_ms = ms_per_token();
  sequence_.go_back(prompt_end);
  sequence_.compress(sequence_.selection());
  const Timings& after = session_.timings();
  sample.read_ms = after.prefill - before.prefill;
  sample.observe_ms = after.observe - before.observe;
  sample.select_ms = after.select - before.select;
  sample.move_ms = after.move - before.move;
  sample.n_kept = sequence_.n_entries();
  sample.kept_ms = ms_per_token();
  sequence_.clear();
  sequence_.prefill(tokens_.first(std::size_t(sample.n_kept)), {}, progress);
  sample.plain_ms = ms_per_token();
  sequence_.clear();
  samples_[index].push_back(sample);
}

std::string Measurement::table() const {
  std::string text =
      fmt::format("prompt of {} tokens, {} generated, {} threads, peak memory {:.0f} MiB\n\n", tokens_.size(),
                  n_predict_, session_.options().n_threads, in_mebibytes(peak_memory()));
  text.insert(text.size() - 1, fmt::format("{}\nattention: prompts by {}\n", weight_text(session_.weights()),
                                           prompt_attention(session_.model())));
  text += fmt::format("{:<28}{:>7}{:>12}{:>12}{:>12}{:>10}{:>20}{:>10}{:>10}{:>10}{:>13}{:>12}\n", "method",
                      "kept", "prefill ms", "observe ms", "select ms", "move ms", "of prefill (spread)",
                      "full ms", "kept ms", "plain ms", "kept / plain", "full / kept");
  for (std::size_t p = 0; p < plans_.size(); ++p) {
    const auto& samples = samples_[p];
    const auto median = [&](auto value) { return spread(samples, value).median; };
    const Spread overhead = spread(samples, [](const Sample& s) { return 100 * s.overhead(); });
    text += fmt::format(
        "{:<28}{:>7}{:>12.0f}{:>12.1f}{:>12.1f}{:>10.1f}{:>20}{:>10.2f}{:>10.2f}{:>10.2f}{:>13.3f}{:>12.2f}"
        "\n",
        plans_[p].method->spec(), samples.front().n_kept, median(&Sample::prefill_ms),
        median(&Sample::observe_ms), median(&Sample::select_ms), median(&Sample::move_ms),
        fmt::format("{:.2f} % ({:.2f}-{:.2f})", overhead.median, overhead.min, overhead.max),
        median(&Sample::full_ms), median(&Sample::kept_ms), median(&Sample::plain_ms),
        median([](const Sample& s) { return s.kept_ms / s.plain_ms; }),
        median([](const Sample& s) { return s.full_ms / s.kept_ms; }));
  }
  text +=
      "\nfull, kept and plain are ms per token from the full cache, the kept one, and a plain prompt of the "
      "kept length\n";
  return text;
}

nlohmann::ordered_json Measurement::to_json() const {
  nlohmann::ordered_json methods = nlohmann::ordered_json::array();
  for (std::size_t p = 0; p < plans_.size(); ++p) {
    const auto& samples = samples_[p];
    const auto of = [&](auto value) { return cli::to_json(spread(samples, value)); };
    methods.push_back({{"method", plans_[p].method->spec()},
                       {"keep", plans_[p].budget.to_string()},
                       {"kept_tokens", samples.front().n_kept},
                       {"prefill_ms", of(&Sample::prefill_ms)},
                       {"observe_ms", of(&Sample::observe_ms)},
                       {"select_ms", of(&Sample::select_ms)},
                       {"move_ms", of(&Sample::move_ms)},
                       {"overhead_of_prefill", of(&Sample::overhead)},
                       {"full_ms_per_token", of(&Sample::full_ms)},
                       {"kept_ms_per_token", of(&Sample::kept_ms)},
                       {"plain_ms_per_token", of(&Sample::plain_ms)},
                       {"kept_over_plain", of([](const Sample& s) { return s.kept_ms / s.plain_ms; })},
                       {"full_over_kept", of([](const Sample& s) { return s.full_ms / s.kept_ms; })}});
    const auto n_prompt = std::int32_t(tokens_.size());
    if (const std::int32_t window = plans_[p].at(n_prompt, n_prompt, 1).window; window > 0)
      methods.back()["window"] = window;
  }
  return {{"model", session_.model().info().path},
          {"prompt_tokens", tokens_.size()},
          {"generated_tokens", n_predict_},
          {"repetitions", samples_.empty() ? 0 : samples_.front().size()},
          {"peak_mib", in_mebibytes(peak_memory())},
          {"weights", weight_json(session_.weights())},
          {"attention", prompt_attention(session_.model())},
          {"methods", std::move(methods)}};
}

}  // namespace chunkkv::cli
