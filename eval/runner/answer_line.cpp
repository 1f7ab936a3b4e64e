#include "runner/answer_line.h"

#include <algorithm>
#include <cmath>

namespace chunkkv::eval {
namespace {

double rounded(double ms) {
  return std::round(ms * 1000) / 1000;
}

/// Whole numbers without a point.
Json number(double value) {
  constexpr double kExact = 1LL << 53;
  if (std::abs(value) < kExact && value == std::floor(value)) return std::int64_t(value);
  return value;
}

}  // namespace

Json answer_identity(const RunFacts& facts, const Sweep& sweep, std::size_t pair, const Sample& sample,
                     std::size_t question, std::int32_t n_prompt, const std::string& data) {
  const Plan& plan = sweep.pairs()[pair];
  Json line = {
      {"benchmark", facts.benchmark},
      {"task", sample.task},
      {"group", sample.group},
      {"id", sample.id},
      {"question", question},
      {"data", data},
      {"method", plan.method->spec()},
      {"keep", plan.budget.to_string()},
      {"query", sweep.options().query == Query::aware ? "aware" : "agnostic"},
      {"cells", sweep.n_cells(pair)},
      {"max_length", facts.max_length},
      {"seed", facts.seed},
      {"model_hash", facts.model_hash},
  };
  std::string settings = facts.settings;
  if (sweep.n_cells(pair) > 0 && !facts.bounded_settings.empty())
    settings += (settings.empty() ? "" : " ") + facts.bounded_settings;
  if (!settings.empty()) line["settings"] = settings;
  if (const std::int32_t window = plan.at(n_prompt, n_prompt, 1).window; window > 0) line["window"] = window;
  for (const auto& [name, value] : sample.facts) line[name] = number(value);
  return line;
}

std::optional<std::string_view> answer_rest(const text::Answer& answer) {
  if (answer.tokens.size() <= kFirstTokens || answer.ends.size() < kFirstTokens) return std::nullopt;
  const std::string_view text(answer.text);
  return text.substr(std::min(text.size(), answer.ends[kFirstTokens - 1]));
}

Json answer_line(Json identity, const RunFacts& facts, const Outcome& outcome) {
  Json line = std::move(identity);
  const Outcome::Milliseconds& ms = outcome.ms;
  const auto& per_token = outcome.answer.per_token_ms;
  line["prompt_tokens"] = outcome.prompt_tokens;
  line["kept_tokens"] = outcome.kept_tokens;
  line["answer"] = outcome.answer.text;
  line["score"] = nullptr;
  line["generated_tokens"] = outcome.answer.tokens.size();
  if (outcome.ended_before) line["compressed"] = false;
  if (outcome.compressions > 0) line["compressions"] = outcome.compressions;
  line["stop"] = text::to_string(outcome.answer.stop);
  line["ms"] = {{"prefill", rounded(ms.prefill)},
                {"observe", rounded(ms.observe)},
                {"select", rounded(ms.select)},
                {"move", rounded(ms.move)},
                {"restore", rounded(ms.restore)},
                {"first_token", rounded(ms.first_token)},
                {"per_token", per_token ? Json(rounded(*per_token)) : Json(nullptr)}};
  line["bytes"] = {{"before", outcome.bytes_before}, {"after", outcome.bytes_after}};
  line["model"] = facts.model;
  line["version"] = facts.version;
  line["machine"] = facts.machine;
  return line;
}

void set_score(Json& line, const Score& score, std::optional<double> rest) {
  line["score"] = score.undecided.empty() ? Json(score.value) : Json(nullptr);
  if (rest) line["score_rest"] = *rest;
  if (!score.metrics.empty()) line["metrics"] = score.metrics;
  if (!score.undecided.empty()) line["undecided"] = score.undecided;
}

}  // namespace chunkkv::eval
