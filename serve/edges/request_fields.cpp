#include "serve/edges/request_fields.h"

#include "serve/edges/request_parser.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv::serve {
namespace {

using Json = common_json;

/// Replaces the field `asked` by `looked_for`, which is at least 1, and returns `asked`: how many of the most
/// likely tokens the reply lists.
std::int32_t most_likely(Json& body, const char* asked, const char* looked_for) {
  const std::int32_t n = json_value(body, asked, 0);
  if (n < 0) throw UsageError(fmt::format("{} is a number of tokens", asked));
  body.erase(asked);
  body[looked_for] = std::max(n, 1);
  return n;
}

/// UsageError for fields that ask for answers which this server does not give.
void refuse_unsupported(Dialect dialect, const Json& body) {
  if (dialect != Dialect::completions) return;
  if (!json_value(body, "suffix", std::string()).empty())
    throw UsageError("suffix: text is not filled in between two others here");
  if (body.contains("best_of") && json_value(body, "best_of", 1) > json_value(body, "n", 1))
    throw UsageError("best_of: answers are not chosen among here; ask for all with n");
}

/// Adds what llama.cpp's converter of Responses leaves out: types of assistant messages, and text.format.
void complete_response_request(Json& body) {
  if (body.contains("input") && body.at("input").is_array())
    for (std::size_t i = 0; i < body.at("input").size(); ++i) {
      Json& item = body.at("input").at(i);
      if (json_value(item, "role", std::string()) == "assistant" && !item.contains("type"))
        item["type"] = "message";
    }
  const Json format = json_value(json_value(body, "text", Json::object()), "format", Json::object());
  const std::string type = json_value(format, "type", std::string());
  if (type.empty() || type == "text") return;
  Json wanted = Json::object();
  wanted["type"] = type;
  if (type == "json_schema") wanted["json_schema"] = format;
  body["response_format"] = wanted;
}

}  // namespace

std::int32_t normalise(Dialect dialect, Json& body) {
  std::int32_t n_listed_probs = 0;
  refuse_unsupported(dialect, body);
  if (dialect == Dialect::responses) complete_response_request(body);
  for (const char* number : {"seed", "max_tokens", "max_completion_tokens", "n_predict"})
    if (body.contains(number) && body.at(number).is_null()) body.erase(number);
  if (dialect == Dialect::completions && body.contains("logprobs")) {
    const Json logprobs = body.at("logprobs");
    if (logprobs.is_boolean()) body["logprobs"] = 1;
    if (logprobs.is_null() || (logprobs.is_boolean() && !logprobs.get<bool>()))
      body.erase("logprobs");
    else
      n_listed_probs = most_likely(body, "logprobs", "n_probs");
  }
  if (dialect == Dialect::chat && json_value(body, "logprobs", false))
    n_listed_probs = most_likely(body, "top_logprobs", "top_logprobs");
  for (const char* flag : {"echo", "best_of", "suffix"})
    if (dialect == Dialect::completions && body.contains(flag)) body.erase(flag);
  return n_listed_probs;
}

nlohmann::ordered_json repeated_fields_of(const std::string& text) {
  nlohmann::ordered_json fields = {
      {"instructions", nullptr}, {"metadata", nullptr}, {"parallel_tool_calls", true},
      {"temperature", nullptr},  {"top_p", nullptr},    {"max_output_tokens", nullptr},
      {"tool_choice", "auto"},   {"tools", nullptr}};
  const auto body = parse_object(text);
  for (auto& [name, value] : fields.items())
    if (body.contains(name) && !body[name].is_null()) value = body[name];
  if (fields["tools"].is_null()) fields["tools"] = nlohmann::ordered_json::array();
  return fields;
}

}  // namespace chunkkv::serve
