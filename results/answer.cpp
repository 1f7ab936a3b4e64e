#include "results/answer.h"

#include "results/fields.h"

namespace chunkkv::results {

std::string key(const AnswerRecord& record) {
  return sample_key(record.origin, record.setting, record.sample, record.pair) +
         key_of_parts(record.length.value_or(-1), record.depth.value_or(-1));
}

Json identity(const AnswerRecord& record) {
  Json line = identity_columns(record.origin, record.setting, record.sample, record.pair, record.window);
  for (const auto& [name, value] : record.facts) line[name] = plain_number(value);
  return line;
}

Json to_json(const AnswerRecord& record, const AnswerCost& cost, const AnswerText& answer) {
  Json line = identity(record);
  line["prompt_tokens"] = cost.prompt_tokens;
  line["kept_tokens"] = cost.kept_tokens;
  line["answer"] = answer.text;
  line["score"] = nullptr;
  line["generated_tokens"] = answer.n_tokens;
  if (cost.ended_before_choice) line["compressed"] = false;
  if (cost.compressions > 0) line["compressions"] = cost.compressions;
  line["stop"] = answer.stop;
  line["ms"] = {{"prefill", rounded(cost.ms.prefill)},
                {"observe", rounded(cost.ms.observe)},
                {"select", rounded(cost.ms.select)},
                {"move", rounded(cost.ms.move)},
                {"restore", rounded(cost.ms.restore)},
                {"first_token", rounded(cost.ms.first_token)},
                {"per_token", answer.per_token_ms ? Json(rounded(*answer.per_token_ms)) : Json(nullptr)}};
  line["bytes"] = {{"before", cost.bytes_before}, {"after", cost.bytes_after}};
  add_origin(line, record.origin);
  return line;
}

AnswerRecord answer_record(const Json& line) {
  const Fields fields(line);
  const auto score = fields.share("score");
  const bool undecided = !score && fields.find("undecided") != nullptr;
  if (!score && !undecided) throw UsageError("it has no \"score\"");
  AnswerRecord record{.origin = fields.origin(),
                      .setting = fields.setting(),
                      .sample = fields.sample(),
                      .pair = fields.pair(),
                      .prompt_tokens = fields.count("prompt_tokens"),
                      .score = score.value_or(0),
                      .undecided = undecided,
                      .metrics = {},
                      .length = fields.number("length"),
                      .depth = fields.share("depth")};
  const Json metrics = fields.object("metrics");
  for (const auto& [name, value] : metrics.items())
    if (const auto number = Fields(metrics).share(name.c_str())) record.metrics.emplace(name, *number);
  return record;
}

void set_score(Json& line, const Scoring& score) {
  line["score"] = score.undecided.empty() ? Json(score.value) : Json(nullptr);
  if (score.rest) line["score_rest"] = *score.rest;
  if (!score.metrics.empty()) line["metrics"] = score.metrics;
  if (!score.undecided.empty()) line["undecided"] = score.undecided;
}

}  // namespace chunkkv::results
