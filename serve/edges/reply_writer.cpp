#include "serve/edges/reply_writer.h"

#include "serve/edges/event_stream.h"
#include "serve/edges/request_rules.h"

#include <algorithm>
#include <ctime>
#include <exception>
#include <span>
#include <utility>

namespace chunkkv::serve {
namespace {

using Json = nlohmann::ordered_json;

Json to_ordered_json(const common_json& json) {
  return Json::parse(json.dump_safe());
}

completion_token_output to_llama(const TokenOutput& token) {
  completion_token_output output;
  output.tok = token.token;
  output.prob = token.probability;
  output.text_to_send = token.text;
  for (const auto& c : token.most_likely) output.probs.push_back({c.token, c.text, c.probability});
  return output;
}

std::int64_t n_characters(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

/// Log probabilities in OpenAI's older shape, which clients of /v1/completions read. `offset`, that of the
/// next token in characters, is moved behind the last one.
Json completion_logprobs(const std::vector<TokenOutput>& tokens, bool first_is_unknown,
                         std::int32_t n_listed_probs, std::int64_t& offset) {
  Json names = Json::array(), logs = Json::array(), best = Json::array(), offsets = Json::array();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const TokenOutput& token = tokens[i];
    names.push_back(token.text);
    offsets.push_back(offset);
    offset += n_characters(token.text);
    if (i == 0 && first_is_unknown) {
      logs.push_back(nullptr);
      best.push_back(nullptr);
      continue;
    }
    logs.push_back(completion_token_output::logarithm(token.probability));
    Json top = Json::object();
    for (const auto& c :
         std::span(token.most_likely).first(std::min(token.most_likely.size(), std::size_t(n_listed_probs))))
      top[c.text] = completion_token_output::logarithm(c.probability);
    best.push_back(std::move(top));
  }
  return {{"tokens", names}, {"token_logprobs", logs}, {"top_logprobs", best}, {"text_offset", offsets}};
}

/// Removes the most likely tokens of a chat's event, where only its own tokens' probability is asked for.
void drop_alternatives(Json& event) {
  if (!event.contains("choices")) return;
  for (Json& choice : event["choices"])
    if (choice.contains("logprobs") && choice["logprobs"].is_object())
      for (Json& token : choice["logprobs"]["content"]) token["top_logprobs"] = Json::array();
}

Json usage_of(const RequestUsage& all) {
  return {{"prompt_tokens", all.n_prompt},
          {"completion_tokens", all.n_generated},
          {"total_tokens", all.n_prompt + all.n_generated},
          {"prompt_tokens_details", {{"cached_tokens", all.n_reused}}}};
}

server_slot_stats stats(const AnswerEnd& end) {
  server_slot_stats stats;
  stats.n_prompt_cached = std::uint64_t(end.n_reused);
  stats.n_prompt_processed = std::uint64_t(end.n_prompt - end.n_reused);
  stats.n_gen = std::uint64_t(end.n_generated);
  stats.t_start = end.started_us;
  stats.t_prompt_last = end.read_us;
  stats.t_gen_last = end.ended_us;
  return stats;
}

}  // namespace

void RequestUsage::add(const AnswerEnd& end, bool is_first_of_prompt) {
  n_generated += end.n_generated;
  if (!is_first_of_prompt) return;
  n_prompt += end.n_prompt;
  n_reused += end.n_reused;
}

struct ReplyWriter::Impl {
  Dialect dialect;
  task_params params;
  task_result_state state;
  std::string id;
  std::int32_t index;
  std::string prompt_text;
  bool tells_probs;
  std::int32_t n_listed_probs;           // most likely tokens that the reply lists
  Json repeated_fields;                  // fields of the request, for a reply of /v1/responses
  std::vector<TokenOutput> prompt = {};  // for `echo`
  std::vector<TokenOutput> tokens = {};  // generated ones, where the reply has probabilities
  std::string text = {};
  std::vector<Token> ids = {};
  bool has_begun = false;  // whether the stream has sent its first event
  std::int32_t n_prompt = 0;
  std::int64_t offset = 0;              // of the next token in the text, in characters
  std::vector<std::string> items = {};  // ids of a response's items, in the order of their beginning
  std::int64_t n_events = 0;            // events sent of a response

  void update(server_task_result_cmpl_final& result);
  std::string events(Json json);
  void complete_event(Json& event);
  void complete_response(Json& response, bool is_cut_off) const;

  template <class Result>
  void fill(Result& result) const {
    result.index = std::size_t(index);
    result.post_sampling_probs = params.post_sampling_probs;
    result.verbose = false;
    result.res_type = params.res_type;
    result.oaicompat_model = params.oaicompat_model;
    result.oaicompat_cmpl_id = id;
  }

  server_task_result_cmpl_final final_result(const AnswerEnd& end, bool streams) {
    server_task_result_cmpl_final result;
    fill(result);
    result.id_slot = end.slot;
    result.stream = streams;
    result.content = streams ? "" : text;
    if (!streams && params.return_tokens) result.tokens.assign(ids.begin(), ids.end());
    result.stats = stats(end);
    result.prompt = prompt_text;
    result.response_fields = params.response_fields;
    result.truncated = end.truncated;
    result.n_decoded = end.n_generated;
    result.n_prompt_tokens = end.n_prompt;
    result.n_prompt_tokens_cache = end.n_reused;
    result.n_tokens_cached = end.n_prompt + end.n_generated;
    result.has_new_line = text.find('\n') != text.npos;
    result.stopping_word = end.stop_text;
    result.stop = end.ending == Ending::model       ? STOP_TYPE_EOS
                  : end.ending == Ending::stop_text ? STOP_TYPE_WORD
                                                    : STOP_TYPE_LIMIT;
    if (tells_probs && !streams)
      for (const TokenOutput& token : tokens) result.probs_output.push_back(to_llama(token));
    result.generation_params = params;
    return result;
  }
};

ReplyWriter::ReplyWriter(const Model& model, const ParsedRequest& request, const std::string& id,
                         std::int32_t index, const std::vector<Token>& prompt)
    : impl_(new Impl{.dialect = request.dialect,
                     .params = request.rules->params,
                     .state = task_result_state(request.rules->params.chat_parser_params),
                     .id = id,
                     .index = index,
                     .prompt_text = {},
                     .tells_probs = request.n_probs > 0,
                     .n_listed_probs = request.n_listed_probs,
                     .repeated_fields = request.repeated_fields}) {
  impl_->n_prompt = std::int32_t(prompt.size());
  if (request.dialect == Dialect::native) impl_->prompt_text = model.detokenize(prompt);
}

ReplyWriter::~ReplyWriter() = default;
ReplyWriter::ReplyWriter(ReplyWriter&&) noexcept = default;

void ReplyWriter::add_prompt(std::vector<TokenOutput> tokens) {
  for (const TokenOutput& token : tokens) impl_->text += token.text;
  impl_->prompt = std::move(tokens);
}

std::string ReplyWriter::add(const std::string& text, const TokenOutput& token, std::int32_t n_reused) {
  Impl& impl = *impl_;
  if (token.token >= 0) {
    impl.ids.push_back(token.token);
    if (impl.tells_probs) impl.tokens.push_back(token);
  }
  const std::string before =
      impl.has_begun || !impl.params.stream ? std::string() : std::exchange(impl.text, {});
  impl.text += text;
  if (!impl.params.stream) return {};
  server_task_result_cmpl_partial result;
  impl.fill(result);
  result.content = before + text;
  if (token.token >= 0) result.tokens.assign(1, token.token);
  result.n_decoded = std::exchange(impl.has_begun, true) ? std::max(2, std::int32_t(impl.ids.size()))
                                                         : 1;  // 1 marks the first event
  result.n_prompt_tokens = impl.n_prompt;
  result.n_prompt_tokens_cache = n_reused;
  if (impl.tells_probs && token.token >= 0) result.prob_output = to_llama(token);
  result.update(impl.state);
  Json json = to_ordered_json(result.to_json());
  if (impl.dialect == Dialect::completions && impl.tells_probs && json.is_object()) {
    std::vector<TokenOutput> told = std::exchange(impl.prompt, {});
    const bool first = !told.empty();
    if (token.token >= 0) told.push_back(token);
    json["choices"][0]["logprobs"] = completion_logprobs(told, first, impl.n_listed_probs, impl.offset);
  }
  return impl.events(std::move(json));
}

std::string ReplyWriter::finish(const AnswerEnd& end, const RequestUsage* all) {
  Impl& impl = *impl_;
  std::string before;
  if (!impl.has_begun) before = add("", {}, end.n_reused);  // adds the events that begin a stream
  auto result = impl.final_result(end, true);
  result.include_usage = false;
  impl.update(result);
  Json json = to_ordered_json(result.to_json());
  Json& last = json.is_array() ? json.back() : json;
  if (impl.dialect == Dialect::responses) {
    Json& response = last["data"]["response"];
    response["kv"] = end.kv;
    impl.complete_response(response, end.ending == Ending::limit);
    const std::string type = "response." + response["status"].get<std::string>();
    last["event"] = last["data"]["type"] = type;
  } else if (impl.dialect == Dialect::messages) {
    Json& delta = json[json.size() >= 2 ? json.size() - 2 : 0]["data"];
    if (end.ending == Ending::stop_text) delta["delta"]["stop_reason"] = "stop_sequence";
    delta["usage"] = {{"input_tokens", end.n_prompt - end.n_reused},
                      {"cache_read_input_tokens", end.n_reused},
                      {"output_tokens", end.n_generated}};
    delta["kv"] = end.kv;
  } else {
    last["kv"] = end.kv;
    last.erase("usage");
    if (all != nullptr && impl.params.include_usage && impl.dialect != Dialect::native) {
      Json usage = last;
      usage["choices"] = Json::array();
      usage["usage"] = usage_of(*all);
      if (json.is_array())
        json.push_back(std::move(usage));
      else
        json = Json::array({std::move(json), std::move(usage)});
    }
  }
  return before + impl.events(std::move(json));
}

/// Parses the answer. One that ends within a tool call is incomplete for the parser: then the part that was
/// parsed so far goes into the reply.
void ReplyWriter::Impl::update(server_task_result_cmpl_final& result) {
  try {
    result.update(state);
  } catch (const std::exception&) {
    result.oaicompat_msg = state.update_chat_msg("", true, result.oaicompat_msg_diffs);
    result.oai_resp_id = state.oai_resp_id;
    result.oai_resp_reasoning_id = state.oai_resp_reasoning_id;
    result.oai_resp_message_id = state.oai_resp_message_id;
  }
}

/// Adds to the events what llama.cpp leaves out, and returns them as text of the stream.
std::string ReplyWriter::Impl::events(Json json) {
  const auto complete = [this](Json& event) {
    if (dialect == Dialect::responses) {
      complete_event(event);
    } else if (dialect == Dialect::chat || dialect == Dialect::completions) {
      if (dialect == Dialect::chat && n_listed_probs == 0) drop_alternatives(event);
      if (params.include_usage && !event.contains("usage")) event["usage"] = nullptr;
    }
  };
  if (dialect == Dialect::responses && json.is_array()) end_arguments(json);
  if (json.is_array())
    for (Json& event : json) complete(event);
  else if (json.is_object())
    complete(json);
  return as_events(json);
}

/// Numbers the event, its item and its part, by which OpenAI's client puts a response together.
void ReplyWriter::Impl::complete_event(Json& event) {
  if (!event.contains("data")) return;
  Json& data = event["data"];
  const std::string type = data.value("type", "");
  if (data.contains("response")) complete_response(data["response"], type == "response.incomplete");
  const std::string item = data.contains("item") ? data["item"].value("id", "") : data.value("item_id", "");
  if (!item.empty()) {
    const auto at = std::find(items.begin(), items.end(), item);
    data["output_index"] = at - items.begin();
    if (at == items.end()) items.push_back(item);
  }
  const bool is_text = type.starts_with("response.output_text.");
  if (is_text || type.starts_with("response.content_part.") || type.starts_with("response.reasoning_text."))
    data["content_index"] = 0;
  if (is_text) data["logprobs"] = Json::array();
  if (data.contains("part")) data["part"]["annotations"] = Json::array();
  data["sequence_number"] = n_events++;
}

void ReplyWriter::Impl::complete_response(Json& response, bool is_cut_off) const {
  for (const auto& [name, value] : repeated_fields.items()) response[name] = value;
  response["error"] = nullptr;
  if (!response.contains("incomplete_details")) response["incomplete_details"] = nullptr;
  if (!response.contains("created_at")) response["created_at"] = std::time(nullptr);
  if (!response.contains("output")) response["output"] = Json::array();
  response["model"] = params.oaicompat_model;
  if (response.contains("usage")) {
    response["usage"]["input_tokens_details"]["cache_write_tokens"] = 0;
    response["usage"]["output_tokens_details"] = {{"reasoning_tokens", 0}};
  }
  if (!is_cut_off) return;
  response["status"] = "incomplete";
  response["incomplete_details"] = {{"reason", "max_output_tokens"}};
  response.erase("completed_at");
  if (!response["output"].empty()) response["output"].back()["status"] = "incomplete";
}

Json ReplyWriter::reply(const AnswerEnd& end) {
  Impl& impl = *impl_;
  auto result = impl.final_result(end, false);
  result.include_usage = true;
  impl.update(result);
  Json json = to_ordered_json(result.to_json());
  if (impl.dialect == Dialect::completions && impl.tells_probs) {
    std::vector<TokenOutput> told = impl.prompt;
    told.insert(told.end(), impl.tokens.begin(), impl.tokens.end());
    json["choices"][0]["logprobs"] =
        completion_logprobs(told, !impl.prompt.empty(), impl.n_listed_probs, impl.offset);
  }
  if (impl.dialect == Dialect::chat && impl.n_listed_probs == 0) drop_alternatives(json);
  if (impl.dialect == Dialect::responses) impl.complete_response(json, end.ending == Ending::limit);
  if (impl.dialect == Dialect::messages && end.ending == Ending::stop_text)
    json["stop_reason"] = "stop_sequence";
  json["kv"] = end.kv;
  return json;
}

Json joined(Dialect dialect, std::vector<Json> replies, const RequestUsage& all) {
  if (replies.size() == 1) return std::move(replies.front());
  if (dialect != Dialect::chat && dialect != Dialect::completions) return Json(std::move(replies));
  Json whole = std::move(replies.front());
  Json each = Json::array({whole["kv"]});
  for (std::size_t i = 1; i < replies.size(); ++i) {
    whole["choices"].push_back(std::move(replies[i]["choices"][0]));
    each.push_back(replies[i]["kv"]);
  }
  whole["usage"] = usage_of(all);
  whole["kv_each"] = std::move(each);
  return whole;
}

std::string stream_end(Dialect dialect) {
  return dialect == Dialect::chat || dialect == Dialect::completions ? "data: [DONE]\n\n" : "";
}

std::string new_reply_id(Dialect dialect) {
  const char* kind = dialect == Dialect::messages      ? "msg_"
                     : dialect == Dialect::completions ? "cmpl-"
                                                       : "chatcmpl-";
  return kind + random_string();
}

}  // namespace chunkkv::serve
