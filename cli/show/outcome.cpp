#include "cli/show/outcome.h"

#include "cli/show/cache_parts.h"
#include "cli/show/text_table.h"
#include "cli/show/units.h"
#include "results/line.h"

#include <fmt/format.h>

#include <functional>
#include <vector>

namespace chunkkv::cli {
namespace {

std::string milliseconds(double ms) {
  return ms < 100 ? fmt::format("{:.1f} ms", ms) : fmt::format("{:.0f} ms", ms);
}

std::string describe(text::Stop stop) {
  switch (stop) {
    case text::Stop::end:
    case text::Stop::text:
      return "complete";
    case text::Stop::limit:
      return "cut at -n";
    case text::Stop::context:
      return "cut: cache full";
    case text::Stop::signal:
      return "interrupted";
    case text::Stop::pause:
      break;
  }
  return "";
}

std::string compressed(const Outcome& outcome) {
  if (outcome.ended_before_choice && outcome.compressions == 0) return "not: short answer";
  std::string text = fmt::format("{} times", outcome.compressions);
  if (outcome.ended_before_choice) return text + ", not after";
  if (outcome.n_observed > 0) text += fmt::format(", {} tokens on", outcome.n_observed);
  return text;
}

struct Row {
  const char* name;
  std::function<std::string(const Outcome&)> value;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {"prompt", [](const Outcome& o) { return fmt::format("{} tokens", o.prompt_tokens); }},
      {"kept", [](const Outcome& o) { return fmt::format("{} tokens", o.kept_tokens); }},
      {"cache", [](const Outcome& o) { return fmt::format("{} cells", o.cells); }},
      {"  used before", [](const Outcome& o) { return mebibytes(o.bytes_before); }},
      {"  used after", [](const Outcome& o) { return mebibytes(o.bytes_after); }},
      {"  compressed", [](const Outcome& o) { return compressed(o); }},
      {"prefill", [](const Outcome& o) { return milliseconds(o.prefill_ms()); }},
      {"  observe", [](const Outcome& o) { return milliseconds(o.ms.observe); }},
      {"  select", [](const Outcome& o) { return milliseconds(o.ms.select); }},
      {"move", [](const Outcome& o) { return milliseconds(o.ms.move); }},
      {"first token", [](const Outcome& o) { return milliseconds(o.first_token_ms); }},
      {"each token after",
       [](const Outcome& o) { return o.answer.per_token_ms ? milliseconds(*o.answer.per_token_ms) : "-"; }},
      {"answer", [](const Outcome& o) { return fmt::format("{} tokens", o.answer.tokens.size()); }},
      {"", [](const Outcome& o) { return describe(o.answer.stop); }},
  };
  return all;
}

}  // namespace

Outcome outcome_of(const Session& session, const std::string& method, const std::string& keep,
                   std::size_t n_prompt) {
  const ModelInfo& model = session.model().info();
  const CacheUse use = session.use();
  Outcome outcome;
  outcome.model = model.path;
  outcome.method = method;
  outcome.keep = keep;
  outcome.prompt_tokens = std::int32_t(n_prompt);
  outcome.cells = use.cells_allocated;
  outcome.bytes_fixed = use.bytes_fixed;
  outcome.parts = parts_json(session.cache_parts(), model.n_layer);
  return outcome;
}

std::string title(const Outcome& outcome) {
  if (outcome.method == "full") return "full cache";
  return fmt::format("{}, {} kept", outcome.method, outcome.keep);
}

results::Json to_json(const Outcome& outcome) {
  using results::Json;
  using results::rounded;
  const Timings& ms = outcome.ms;
  const auto& per_token = outcome.answer.per_token_ms;
  return {
      {"model", outcome.model},
      {"method", outcome.method},
      {"keep", outcome.keep},
      {"prompt_tokens", outcome.prompt_tokens},
      {"kept_tokens", outcome.kept_tokens},
      {"cells", outcome.cells},
      {"compressions", outcome.compressions},
      {"after", outcome.n_observed},
      {"cache_bytes",
       {{"before", outcome.bytes_before},
        {"after", outcome.bytes_after},
        {"allocated", outcome.bytes_allocated},
        {"compressible", outcome.bytes_allocated},
        {"fixed", outcome.bytes_fixed},
        {"all", outcome.bytes_allocated + outcome.bytes_fixed}}},
      {"cache_parts", outcome.parts},
      {"ms",
       {{"prefill", rounded(outcome.prefill_ms())},
        {"observe", rounded(ms.observe)},
        {"select", rounded(ms.select)},
        {"move", rounded(ms.move)},
        {"first_token", rounded(outcome.first_token_ms)},
        {"per_token", per_token ? Json(rounded(*per_token)) : Json(nullptr)}}},
      {"generated_tokens", outcome.answer.tokens.size()},
      {"stop", to_string(outcome.answer.stop)},
      {"answer", outcome.answer.text},
  };
}

std::string figures(std::span<const Outcome> outcomes) {
  constexpr std::size_t kNameWidth = 17;
  std::vector<std::vector<std::string>> table = {{std::string(kNameWidth, ' ')}};
  for (const Outcome& outcome : outcomes) table.front().push_back(title(outcome));
  for (const Row& row : rows()) {
    table.push_back({row.name});
    for (const Outcome& outcome : outcomes) table.back().push_back(row.value(outcome));
  }
  return text_table(table);
}

}  // namespace chunkkv::cli
