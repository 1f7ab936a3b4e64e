#include "runner/answer_line.h"

#include <algorithm>

namespace chunkkv::eval {

results::AnswerRecord asked(const RunFacts& facts, const Sweep& sweep, std::size_t pair, const Sample& sample,
                            std::size_t question, std::int32_t n_prompt, const std::string& data) {
  const Plan& plan = sweep.pairs()[pair];
  std::string settings = facts.settings;
  if (sweep.n_cells(pair) > 0 && !facts.bounded_settings.empty())
    settings += (settings.empty() ? "" : " ") + facts.bounded_settings;
  results::AnswerRecord record;
  record.origin = {facts.model, facts.model_hash, facts.version, facts.machine, std::int64_t(facts.seed)};
  record.setting = {facts.benchmark, sweep.options().query == Query::aware, sweep.n_cells(pair),
                    facts.max_length, settings};
  record.sample = {sample.task, sample.group, sample.id, std::int64_t(question), data};
  record.pair = {plan.method->spec(), plan.budget.to_string()};
  record.window = plan.at(n_prompt, n_prompt, 1).window;
  record.facts = sample.facts;
  return record;
}

void add_outcome(results::AnswerRecord& record, const Outcome& outcome) {
  const text::Answer& answer = outcome.answer;
  record.prompt_tokens = outcome.prompt_tokens;
  record.kept_tokens = outcome.kept_tokens;
  record.answer = answer.text;
  record.generated_tokens = answer.tokens.size();
  record.ended_before = outcome.ended_before;
  record.compressions = outcome.compressions;
  record.stop = text::to_string(answer.stop);
  const Outcome::Milliseconds& ms = outcome.ms;
  record.ms = {ms.prefill, ms.observe, ms.select, ms.move, ms.restore, ms.first_token, answer.per_token_ms};
  record.bytes_before = outcome.bytes_before;
  record.bytes_after = outcome.bytes_after;
}

std::optional<std::string_view> answer_rest(const text::Answer& answer) {
  if (answer.tokens.size() <= kFirstTokens || answer.ends.size() < kFirstTokens) return std::nullopt;
  const std::string_view text(answer.text);
  return text.substr(std::min(text.size(), answer.ends[kFirstTokens - 1]));
}

}  // namespace chunkkv::eval
