#include "runner/answer_line.h"

#include <algorithm>

namespace chunkkv::eval {

results::AnswerRecord question_record(const RunFacts& facts, const Sweep& sweep, std::size_t pair,
                                      const Sample& sample, std::size_t question, std::int32_t n_prompt,
                                      const std::string& data) {
  const Plan& plan = sweep.pairs()[pair];
  results::AnswerRecord record;
  record.origin = facts.origin;
  record.setting = facts.setting;
  record.setting.query_aware = sweep.options().query == Query::aware;
  record.setting.cells = sweep.n_cells(pair);
  if (record.setting.cells > 0 && !facts.bounded_settings.empty())
    record.setting.others += (record.setting.others.empty() ? "" : " ") + facts.bounded_settings;
  record.sample = {sample.task, sample.group, sample.id, std::int64_t(question), data};
  record.pair = {plan.method->spec(), plan.budget.to_string()};
  record.window = plan.at(n_prompt, n_prompt, 1).window;
  record.facts = sample.facts;
  return record;
}

std::optional<std::string_view> answer_rest(const text::Answer& answer) {
  if (answer.tokens.size() <= kFirstTokens || answer.ends.size() < kFirstTokens) return std::nullopt;
  const std::string_view text(answer.text);
  return text.substr(std::min(text.size(), answer.ends[kFirstTokens - 1]));
}

}  // namespace chunkkv::eval
