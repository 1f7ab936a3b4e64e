#include "serve/edges/request_limits.h"

#include "serve/edges/grammar_limits.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace chunkkv::serve {
namespace {

using Json = common_json;

constexpr std::size_t kMostStops = 256, kLongestStop = 1024;
constexpr std::size_t kMostBreakers = 64, kLongestBreaker = 64;
constexpr std::int32_t kMostProbs = 1000;
/// Candidates that llama.cpp's infill sampler may compare with one another.
constexpr std::int32_t kMostInfill = 1000;
constexpr std::size_t kLongestToolName = 256;
/// Most properties of an object in a JSON schema: making a grammar of it takes time with their square.
constexpr std::size_t kMostProperties = 500;

/// Fields by which the chat parser directs the sampler and the reply's parser; a client may not set them.
constexpr const char* kInternalFields[] = {
    "chat_format",
    "chat_parser",
    "generation_prompt",
    "grammar_triggers",
    "grammar_type",
    "grammar_lazy",
    "preserved_tokens",
    "reasoning_budget_start_tag",
    "reasoning_control",
    "reasoning_budget_end_tag",
    "reasoning_budget_end_tags",
};

bool is_set(const Json& body, const char* name) {
  if (!body.contains(name)) return false;
  const Json& value = body.at(name);
  return !value.is_null() && !(value.is_boolean() && !value.get<bool>());
}

/// UsageError for a part that is not Anthropic's or not text: llama.cpp leaves such parts out silently.
void require_known_part(const Json& part) {
  if (!part.is_object()) throw UsageError("a part of a message's content is an object");
  const std::string type = json_value(part, "type", std::string());
  for (const char* known : {"text", "thinking", "redacted_thinking", "tool_use"})
    if (type == known) return;
  if (type == "image" || type == "document")
    throw UsageError(
        fmt::format("this server's model reads text only, and the message has a part of type {}", type));
  if (type != "tool_result") throw UsageError(fmt::format("a message has a part of unknown type '{}'", type));
  if (part.contains("content") && part.at("content").is_array())
    for (const Json& inner : part.at("content")) require_known_part(inner);
}

void require_messages(Dialect dialect, const Json& body) {
  if (!body.contains("messages") || !body.at("messages").is_array() || body.at("messages").empty())
    throw UsageError("'messages' is a list with at least one message");
  for (const Json& message : body.at("messages")) {
    if (!message.is_object() || !message.contains("role") || !message.at("role").is_string() ||
        message.at("role").get<std::string>().empty())
      throw UsageError("a message is an object with a role and a content");
    if (dialect != Dialect::messages) continue;
    if (!message.contains("content") ||
        !(message.at("content").is_string() || message.at("content").is_array()))
      throw UsageError("a message's content is a text or a list of parts");
    if (message.at("content").is_array())
      for (const Json& part : message.at("content")) require_known_part(part);
  }
}

void require_tools(Dialect dialect, const Json& body) {
  if (!body.contains("tools") || body.at("tools").is_null()) return;
  const Json& tools = body.at("tools");
  if (!tools.is_array()) throw UsageError("'tools' is a list");
  for (const Json& tool : tools) {
    if (!tool.is_object()) throw UsageError("a tool is an object");
    const bool is_nested = dialect == Dialect::chat;
    if (is_nested && (!tool.contains("function") || !tool.at("function").is_object()))
      throw UsageError("a tool has a function, an object");
    const Json& function = is_nested ? tool.at("function") : tool;
    if (dialect == Dialect::responses && json_value(function, "type", std::string()) != "function") continue;
    const std::string name = json_value(function, "name", std::string());
    if (name.empty() || name.size() > kLongestToolName)
      throw UsageError(fmt::format("a tool has a name of 1 to {} bytes", kLongestToolName));
  }
}

void require_small_schema(const Json& schema) {
  if (schema.is_object() && schema.contains("properties") && schema.at("properties").is_object() &&
      schema.at("properties").size() > kMostProperties)
    throw UsageError(fmt::format("a JSON schema has {} properties in an object, and {} are the most",
                                 schema.at("properties").size(), kMostProperties));
  if (!schema.is_object() && !schema.is_array()) return;
  for (const auto& item : schema.items()) require_small_schema(item.value());
}

}  // namespace

void check_body(Dialect dialect, const Json& body) {
  for (const char* name : kInternalFields)
    if (is_set(body, name)) throw UsageError(fmt::format("'{}' is no field of a request", name));
  for (const char* name : {"json_schema", "response_format", "text", "tools"})
    if (body.contains(name)) require_small_schema(body.at(name));
  if (dialect == Dialect::chat || dialect == Dialect::messages) require_messages(dialect, body);
  if (dialect == Dialect::chat || dialect == Dialect::messages || dialect == Dialect::responses)
    require_tools(dialect, body);
}

void limit_params(task_params& params, std::size_t n_context) {
  common_params_sampling& sampling = params.sampling;
  require_small_grammar(common_grammar_value(sampling.grammar));

  if (params.antiprompt.size() > kMostStops)
    throw UsageError(
        fmt::format("there are {} stop texts, and {} are the most", params.antiprompt.size(), kMostStops));
  for (const std::string& stop : params.antiprompt)
    if (stop.size() > kLongestStop)
      throw UsageError(fmt::format("a stop text has {} bytes at most", kLongestStop));

  if (sampling.n_probs > kMostProbs)
    throw UsageError(fmt::format("the probabilities of {} tokens are the most", kMostProbs));

  if (sampling.dry_sequence_breakers.size() > kMostBreakers)
    throw UsageError(fmt::format("dry_sequence_breakers has {} texts at most", kMostBreakers));
  for (const std::string& breaker : sampling.dry_sequence_breakers)
    if (breaker.size() > kLongestBreaker)
      throw UsageError(fmt::format("a text of dry_sequence_breakers has {} bytes at most", kLongestBreaker));

  const auto longest = std::int32_t(n_context);
  sampling.penalty_last_n = std::min(sampling.penalty_last_n, longest);
  sampling.dry_penalty_last_n = std::min(sampling.dry_penalty_last_n, longest);

  bool are_few = false;
  for (const common_sampler_type sampler : sampling.samplers) {
    are_few |= sampler == COMMON_SAMPLER_TYPE_TOP_K && sampling.top_k > 0 && sampling.top_k <= kMostInfill;
    if (sampler == COMMON_SAMPLER_TYPE_INFILL && !are_few)
      throw UsageError(fmt::format("the infill sampler needs top_k before it, of {} at most", kMostInfill));
  }
}

}  // namespace chunkkv::serve
