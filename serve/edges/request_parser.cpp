#include "serve/edges/request_parser.h"

#include "serve/edges/request_limits.h"
#include "serve/edges/request_rules.h"

#include <fmt/format.h>
#include <server-chat.h>
#include <server-schema.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <utility>

namespace chunkkv::serve {
namespace {

using Json = common_json;

constexpr int deepest_nesting = 100;
/// Longest question that is told apart from what it asks about, in bytes.
constexpr std::size_t longest_question = 4096;
/// Stands for what is left out of a rendered template.
constexpr const char* left_out = "\u00b6";

/// The edge's parsers throw errors of several kinds for a wrong request.
template <class Do>
auto checked(Do&& act) -> decltype(act()) {
  try {
    return act();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw UsageError(error.what());
  }
}

Json parse_json(const std::string& body) {
  parse_object(body);  // says what is wrong, in a bounded depth
  return Json::parse(body);
}

/// What llama.cpp's schema takes for absent or has no word for.
void normalise(Dialect dialect, Json& body) {
  for (const char* number : {"seed", "max_tokens", "max_completion_tokens", "n_predict"})
    if (body.contains(number) && body.at(number).is_null()) body.erase(number);
  // -1 is "no limit" in some clients and an unsigned number's largest value in others.
  if (dialect == Dialect::completions && body.contains("logprobs")) {
    const Json logprobs = body.at("logprobs");
    body.erase("logprobs");
    if (logprobs.is_number_integer() || logprobs.is_number()) body["n_probs"] = logprobs;
    if (logprobs.is_boolean() && logprobs.get<bool>()) body["n_probs"] = 1;
  }
  for (const char* flag : {"echo", "best_of", "suffix"})
    if (dialect == Dialect::completions && body.contains(flag)) body.erase(flag);
}

Json& last_user_message(Json& messages) {
  for (std::size_t i = messages.size(); i-- > 0;)
    if (json_value(messages.at(i), "role", std::string()) == "user") return messages.at(i);
  return messages.back();
}

std::size_t common_prefix(const std::string& a, const std::string& b) {
  return std::size_t(
      std::mismatch(a.begin(), a.begin() + std::ptrdiff_t(std::min(a.size(), b.size())), b.begin()).first -
      a.begin());
}

}  // namespace

nlohmann::ordered_json parse_object(std::string_view body) {
  const auto parsed = nlohmann::ordered_json::parse(
      body,
      [](int depth, nlohmann::ordered_json::parse_event_t, nlohmann::ordered_json&) {
        if (depth > deepest_nesting)
          throw UsageError(fmt::format("the body nests more than {} levels deep", deepest_nesting));
        return true;
      },
      false);
  if (parsed.is_discarded()) throw UsageError("the body is no JSON");
  if (!parsed.is_object()) throw UsageError("the body is no JSON object");
  return parsed;
}

struct RequestParser::Impl {
  std::shared_ptr<Model> model;
  RequestDefaults defaults;
  common_params base;
  server_chat_params chat;
  std::vector<llama_logit_bias> end_biases;
  std::string template_source;
  mutable std::mutex mutex = {};  // templates are not promised to be thread-safe

  const llama_vocab* vocab() const { return llama_model_get_vocab(model->handle()); }

  /// What the chat parser makes of a chat request's messages.
  Json rendered(const Json& body) const {
    Json copy = body;  // the parser changes it
    std::vector<raw_buffer> files;
    const std::lock_guard lock(mutex);
    return oaicompat_chat_params_parse(copy, chat, files);
  }

  /// The body as one of a chat or a completion.
  static Json converted(Dialect dialect, const Json& body) {
    if (dialect == Dialect::responses) return server_chat_convert_responses_to_chatcmpl(body);
    if (dialect == Dialect::messages) return server_chat_convert_anthropic_to_oai(body);
    return body;
  }
  static bool is_chat(Dialect dialect) {
    return dialect == Dialect::chat || dialect == Dialect::responses || dialect == Dialect::messages;
  }

  /// The request's parameters with a "prompt".
  Json with_prompt(Dialect dialect, const Json& body) const {
    if (is_chat(dialect)) return rendered(body);
    if (dialect == Dialect::completions) return oaicompat_completion_params_parse(body);
    if (!body.contains("prompt")) throw UsageError("\"prompt\" is required");
    return body;
  }

  std::vector<std::vector<Token>> tokens(const Json& prompt) const {
    std::vector<std::vector<Token>> result;
    for (const server_tokens& part : tokenize_input_prompts(vocab(), nullptr, prompt, true, true, {})) {
      const llama_tokens& ids = part.get_tokens();
      result.emplace_back(ids.begin(), ids.end());
      model->require_tokens(result.back());
    }
    return result;
  }

  /// Tokens of `text`, whose tokens these are, that end within its first `n_bytes`.
  std::int32_t tokens_within(std::span<const Token> tokens, std::size_t n_bytes) const {
    std::size_t end = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      end += common_token_to_piece(vocab(), tokens[i], true).size();
      if (end > n_bytes) return std::int32_t(i);
    }
    return std::int32_t(tokens.size());
  }

  void tell_parts_apart(const Json& body, const std::string& text, ParsedPrompt& prompt) const {
    if (!body.contains("messages") || !body.at("messages").is_array() || body.at("messages").empty()) return;
    Json without = body;
    Json& messages = without.at("messages");
    Json system = Json::array();
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const std::string role = json_value(messages.at(i), "role", std::string());
      if (role != "system" && role != "developer") break;
      system.push_back(messages.at(i));
    }
    Json& last = last_user_message(messages);
    const std::string said = last.contains("content") && last.at("content").is_string()
                                 ? last.at("content").get<std::string>()
                                 : std::string();
    if (!system.empty() || body.contains("tools")) {
      Json only = body;
      Json dummy = Json::object();
      dummy["role"] = "user";
      dummy["content"] = left_out;
      system.push_back(dummy);
      only["messages"] = system;
      prompt.n_system = tokens_within(prompt.tokens, common_prefix(text, prompt_of(only)));
    }
    std::size_t start = std::string::npos;
    if (said.size() > longest_question) {  // a document with a question after it
      const std::size_t gap = said.rfind("\n\n", said.find_last_not_of(" \t\r\n"));
      if (gap != said.npos && said.size() - gap <= longest_question) start = text.rfind(said.substr(gap + 2));
    } else if (!said.empty() && messages.size() > 1) {
      last["content"] = left_out;
      start = common_prefix(text, prompt_of(without));
    } else if (const std::size_t gap = said.rfind("\n\n", said.find_last_not_of(" \t\r\n"));
               gap != said.npos) {
      start = text.rfind(said.substr(gap + 2));
    }
    if (start != std::string::npos)
      prompt.n_question = std::int32_t(prompt.tokens.size()) - tokens_within(prompt.tokens, start);
  }

  std::string prompt_of(const Json& body) const {
    const Json prompt = rendered(body).at("prompt");
    return prompt.get<std::string>();
  }
};

RequestParser::RequestParser(std::shared_ptr<Model> model, const RequestDefaults& defaults)
    : impl_(std::make_unique<Impl>()) {
  Impl& impl = *impl_;
  impl.model = std::move(model);
  impl.defaults = defaults;
  common_params_sampling& sampling = impl.base.sampling;
  sampling.temp = defaults.temperature;
  sampling.top_k = defaults.top_k;
  sampling.top_p = defaults.top_p;
  sampling.min_p = defaults.min_p;
  sampling.seed = defaults.seed < 0 ? LLAMA_DEFAULT_SEED : std::uint32_t(defaults.seed);
  impl.base.n_predict = defaults.n_predict;
  impl.base.n_parallel = defaults.most_answers;
  const llama_vocab* vocab = impl.vocab();
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token)
    if (llama_vocab_is_eog(vocab, token)) impl.end_biases.push_back({token, -INFINITY});
  impl.chat.use_jinja = true;
  impl.chat.prefill_assistant = true;
  impl.chat.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  impl.base.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  impl.chat.tmpls = common_chat_templates_init(impl.model->handle(), defaults.chat_template);
  impl.chat.allow_image = impl.chat.allow_audio = impl.chat.allow_video = false;
  impl.chat.enable_thinking = common_chat_templates_support_enable_thinking(impl.chat.tmpls.get());
  impl.template_source = common_chat_templates_source(impl.chat.tmpls.get());
}

RequestParser::~RequestParser() = default;

ParsedRequest RequestParser::parse(Dialect dialect, const std::string& text, bool parts) const {
  return checked([&] {
    Json body = parse_json(text);
    ParsedRequest request;
    request.dialect = dialect;
    const bool echoes = dialect == Dialect::completions;
    request.echo = echoes && json_value(body, "echo", false);
    normalise(dialect, body);
    require_plain_body(dialect, body);
    body = Impl::converted(dialect, body);
    const Json data = impl_->with_prompt(dialect, body);
    const Json& prompt = data.at("prompt");
    for (auto& tokens : impl_->tokens(prompt)) request.prompts.push_back({.tokens = std::move(tokens)});

    auto rules = std::make_shared<RequestRules>();
    task_params& params = rules->params;
    params = server_schema::eval_llama_cmpl_schema(impl_->vocab(), impl_->base, impl_->end_biases, data);
    limit_params(params, std::size_t(impl_->model->info().n_ctx_train));
    constexpr task_response_type kinds[] = {TASK_RESPONSE_TYPE_NONE, TASK_RESPONSE_TYPE_OAI_CMPL,
                                            TASK_RESPONSE_TYPE_OAI_CHAT, TASK_RESPONSE_TYPE_OAI_RESP,
                                            TASK_RESPONSE_TYPE_ANTHROPIC};
    params.res_type = kinds[std::size_t(dialect)];
    params.oaicompat_model = json_value(data, "model", impl_->defaults.alias);
    if (params.oaicompat_model.empty()) params.oaicompat_model = impl_->defaults.alias;
    request.n_answers = params.n_cmpl;
    request.n_predict = params.n_predict;
    request.max_ms = params.t_max_predict_ms;
    request.stops = params.antiprompt;
    request.n_probs = params.sampling.n_probs;
    request.probs_after_sampling = params.post_sampling_probs;
    request.stream = params.stream;
    request.prompt_probs = request.echo && request.n_probs > 0;
    request.ping = params.sse_ping_interval;
    request.rules = std::move(rules);
    if (parts && Impl::is_chat(dialect))
      impl_->tell_parts_apart(body, prompt.get<std::string>(), request.prompts.front());
    return request;
  });
}

std::size_t RequestParser::count(Dialect dialect, const std::string& text) const {
  return checked([&] {
    Json body = parse_json(text);
    require_plain_body(dialect, body);
    body = Impl::converted(dialect, body);
    return impl_->tokens(impl_->with_prompt(dialect, body).at("prompt")).front().size();
  });
}

std::string RequestParser::render(const std::string& text) const {
  return checked([&] { return impl_->prompt_of(parse_json(text)); });
}

std::vector<Token> RequestParser::tokenize(const nlohmann::ordered_json& content, bool add_special,
                                           bool parse_special) const {
  return checked([&] {
    const llama_tokens tokens =
        tokenize_mixed(impl_->vocab(), Json::parse(content.dump()), add_special, parse_special);
    return std::vector<Token>(tokens.begin(), tokens.end());
  });
}

const std::string& RequestParser::chat_template() const {
  return impl_->template_source;
}

}  // namespace chunkkv::serve
