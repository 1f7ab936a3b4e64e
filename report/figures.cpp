#include "report/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace chunkkv::report {
namespace {

/// Benchmarks and their own names, in the order of a report.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kBenchmarks = {{
    {"longbench", "LongBench"},
    {"longbench-e", "LongBench-E"},
    {"niah", "Needle in a haystack"},
    {"gsm8k", "GSM8K"},
    {"gsm8k-manyshot", "GSM8K, many-shot"},
    {"multiturn", "Several questions on one document"},
    {"jailbreakv", "JailbreakV"},
}};

}  // namespace

std::span<const Figure> fidelity_figures() {
  static constexpr std::array<Figure, 6> figures = {{
      {"kl", "KL divergence (nats)", Unit::plain, Better::lower},
      {"top1", "top-1 agreement", Unit::points, Better::higher},
      {"kv_l1", "key-value L1 loss", Unit::plain, Better::lower},
      {"attention_cosine", "attention cosine similarity", Unit::plain, Better::higher},
      {"attention_mass", "attention mass kept", Unit::points, Better::higher},
      {"adjacent_similarity", "Jaccard similarity of neighbouring layers", Unit::plain, Better::neither},
  }};
  return figures;
}

std::span<const Figure> speed_figures() {
  static constexpr std::array<Figure, 10> figures = {{
      {"total", "latency", Unit::milliseconds, Better::lower},
      {"reading", "reading, to the first token", Unit::milliseconds, Better::lower},
      {"compression", "compression", Unit::milliseconds, Better::lower},
      {"answering", "generating after it", Unit::milliseconds, Better::lower},
      {"first_token", "first token", Unit::milliseconds, Better::lower},
      {"per_token", "each token after", Unit::milliseconds, Better::lower},
      {"throughput", "throughput (tokens/s)", Unit::rate, Better::higher},
      {"cache", "cache of the prompt", Unit::bytes, Better::lower},
      {"peak", "peak of the process", Unit::bytes, Better::lower},
      {"gpu", "memory used on the GPU", Unit::bytes, Better::lower},
  }};
  return figures;
}

std::string grouped(std::int64_t number) {
  const std::string digits = fmt::format("{}", number);
  const std::size_t first = number < 0 ? 1 : 0;
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > first && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string_view unit_name(Unit unit) {
  constexpr std::array<std::string_view, 5> kNames = {"points", "plain", "ms", "bytes", "rate"};
  return kNames.at(std::size_t(unit));
}

std::string_view better_name(Better better) {
  constexpr std::array<std::string_view, 3> kNames = {"higher", "lower", ""};
  return kNames.at(std::size_t(better));
}

std::size_t benchmark_place(std::string_view benchmark) {
  const auto it = std::find_if(kBenchmarks.begin(), kBenchmarks.end(),
                               [&](const auto& known) { return known.first == benchmark; });
  return std::size_t(it - kBenchmarks.begin());
}

std::string_view benchmark_title(std::string_view benchmark) {
  const std::size_t place = benchmark_place(benchmark);
  return place < kBenchmarks.size() ? kBenchmarks[place].second : benchmark;
}

std::string_view score_title(std::string_view benchmark, bool is_judged) {
  if (benchmark != "jailbreakv") return "score";
  return is_judged ? "safe rate (judge)" : "safe rate (proxy)";
}

std::string_view benchmark_note(std::string_view benchmark, bool is_judged) {
  if (benchmark == "jailbreakv")
    return is_judged
               ? "The safe rate is the share of answers that a judge model called safe."
               : "The safe rate is the share of answers with a refusal phrase. It is a proxy; the published "
                 "figures come from a judge model.";
  if (benchmark == "multiturn") return "The cache is compressed once, before the first question.";
  return "";
}

}  // namespace chunkkv::report
