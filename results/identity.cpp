#include "results/identity.h"

#include "results/fields.h"

#include <chunkkv/budget.h>

#include <fmt/format.h>

namespace chunkkv::results {

std::string model_key(const Origin& origin) {
  return origin.model_hash.empty() ? "name " + origin.model : origin.model_hash;
}

std::string sample_key(const Origin& origin, const Setting& setting, const Sample& sample, const Pair& pair) {
  const auto& [benchmark, query_aware, cells, max_length, others] = setting;
  return key_of_parts(benchmark, query_aware, cells, max_length, others, sample.task, sample.id,
                      sample.question, pair.method, pair.keep, model_key(origin), origin.seed.value_or(0));
}

Json identity_columns(const Origin& origin, const Setting& setting, const Sample& sample, const Pair& pair,
                      std::int32_t window) {
  Json line = {{"benchmark", setting.benchmark},
               {"task", sample.task},
               {"group", sample.group},
               {"id", sample.id},
               {"question", sample.question},
               {"data", sample.data},
               {"method", pair.method},
               {"keep", pair.keep},
               {"query", setting.query_aware ? "aware" : "agnostic"},
               {"cells", setting.cells},
               {"max_length", setting.max_length},
               {"seed", origin.seed.value_or(0)},
               {"model_hash", origin.model_hash}};
  if (!setting.others.empty()) line["settings"] = setting.others;
  if (window > 0) line["window"] = window;
  return line;
}

void add_origin(Json& line, const Origin& origin) {
  line["model"] = origin.model;
  line["version"] = origin.version;
  line["machine"] = origin.machine;
}

Origin Fields::origin() const {
  return {.model = text_or("model", "(model not named)"),
          .model_hash = text_or("model_hash", ""),
          .version = text_or("version", ""),
          .machine = text_or("machine", ""),
          .seed = integer("seed")};
}

Setting Fields::setting() const {
  const std::string query = text_or("query", "aware");
  if (query != "aware" && query != "agnostic")
    throw UsageError(fmt::format("\"query\" is \"{}\", not \"aware\" or \"agnostic\"", query));
  return {.benchmark = text("benchmark"),
          .query_aware = query == "aware",
          .cells = count("cells"),
          .max_length = count("max_length"),
          .others = text_or("settings", "")};
}

Sample Fields::sample() const {
  const std::string task = text("task");
  return {.task = task,
          .group = text_or("group", task),
          .id = id("id"),
          .question = count("question"),
          .data = text_or("data", "")};
}

Pair Fields::pair() const {
  return {.method = text("method"), .keep = Budget::parse(text("keep")).to_string()};
}

}  // namespace chunkkv::results
