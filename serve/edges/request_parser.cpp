#include "serve/edges/request_parser.h"

#include "serve/edges/request_fields.h"
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

constexpr int kDeepestNesting = 100;
/// Longest question that is told apart from the text before it, in bytes.
constexpr std::size_t kLongestQuestion = 4096;
/// Stands for a message that is left out when the template is rendered again.
constexpr const char* kLeftOut = "\u00b6";

/// Runs `act`, and turns the errors that llama.cpp's parsers throw for a wrong request into UsageError.
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
  parse_object(body);  // throws for a wrong body, and bounds its depth
  return Json::parse(body);
}

/// The function that a request's tool_choice names, in any dialect; empty: none.
std::string chosen_tool(const Json& body) {
  if (!body.contains("tool_choice") || !body.at("tool_choice").is_object()) return {};
  const Json& choice = body.at("tool_choice");
  const std::string type = json_value(choice, "type", std::string());
  if (type == "auto" || type == "any" || type == "none") return {};  // Anthropic's
  const Json function = json_value(choice, "function", Json::object());
  const std::string name = json_value(choice, "name", json_value(function, "name", std::string()));
  if ((type != "function" && type != "tool") || name.empty())
    throw UsageError("tool_choice is auto, none, required, or names a function");
  return name;
}

/// Returns the chat request with this function alone, which must be called.
Json with_tool(const Json& body, const std::string& name) {
  Json tools = Json::array();
  if (body.contains("tools") && body.at("tools").is_array())
    for (const Json& tool : body.at("tools"))
      if (json_value(json_value(tool, "function", Json::object()), "name", std::string()) == name)
        tools.push_back(tool);
  if (tools.empty()) throw UsageError(fmt::format("tool_choice: there is no function '{}' in tools", name));
  Json with = body;
  with["tools"] = tools;
  with["tool_choice"] = "required";
  return with;
}

/// A message that stands for one that is left out.
Json left_out() {
  Json message = Json::object();
  message["role"] = "user";
  message["content"] = kLeftOut;
  return message;
}

Json& last_user_message(Json& messages) {
  for (std::size_t i = messages.size(); i-- > 0;)
    if (json_value(messages.at(i), "role", std::string()) == "user") return messages.at(i);
  return messages.back();
}

std::size_t common_prefix(const std::string& a, const std::string& b) {
  return std::size_t(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

nlohmann::ordered_json parse_object(std::string_view body) {
  const auto parsed = nlohmann::ordered_json::parse(
      body,
      [](int depth, nlohmann::ordered_json::parse_event_t, nlohmann::ordered_json&) {
        if (depth > kDeepestNesting)
          throw UsageError(fmt::format("the body nests more than {} levels deep", kDeepestNesting));
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

  /// Returns the parameters, "prompt" among them, that the chat parser makes of a chat request.
  Json rendered(const Json& body) const {
    Json copy = body;  // the parser changes it
    std::vector<raw_buffer> files;
    const std::lock_guard lock(mutex);
    return oaicompat_chat_params_parse(copy, chat, files);
  }

  /// Returns a body of Responses or Messages as one of a chat, any other unchanged.
  static Json converted(Dialect dialect, const Json& body) {
    if (dialect == Dialect::responses) return server_chat_convert_responses_to_chatcmpl(body);
    if (dialect != Dialect::messages) return body;
    Json chat = server_chat_convert_anthropic_to_oai(body);
    const Json choice = json_value(body, "tool_choice", Json::object());
    if (json_value(choice, "type", std::string()) == "none") chat["tool_choice"] = "none";
    if (json_value(choice, "disable_parallel_tool_use", false)) chat["parallel_tool_calls"] = false;
    if (body.contains("seed"))
      chat["seed"] = body.at("seed");  // not Anthropic's, but users of others have it
    return chat;
  }
  static bool is_chat(Dialect dialect) {
    return dialect == Dialect::chat || dialect == Dialect::responses || dialect == Dialect::messages;
  }

  /// A chat request's parameters with a "prompt". `tool`, if not empty, must be called; the other tools stay
  /// in the prompt, so that its beginning does not change with the choice.
  Json chat_with_prompt(const Json& body, const std::string& tool) const {
    if (body.contains("messages") && body.at("messages").is_array() && body.at("messages").empty())
      throw UsageError("messages: there is none");
    Json data = rendered(tool.empty() ? body : with_tool(body, tool));
    const bool must_call =
        !tool.empty() || (body.contains("tool_choice") && body.at("tool_choice").is_string() &&
                          body.at("tool_choice").get<std::string>() == "required");
    if (must_call && json_value(data, "grammar", std::string()).empty())
      throw UsageError(
          "tool_choice: there are no tools, or the model's chat template has no place for them (name another "
          "with --chat-template-file)");
    if (!tool.empty()) data["prompt"] = prompt_of(body);
    return data;
  }

  /// The request's parameters with a "prompt".
  Json with_prompt(Dialect dialect, const Json& body, const std::string& tool) const {
    if (is_chat(dialect)) return chat_with_prompt(body, tool);
    if (dialect == Dialect::completions) return oaicompat_completion_params_parse(body);
    if (!body.contains("prompt")) throw UsageError("\"prompt\" is required");
    return body;
  }

  /// UsageError unless all numbers in a text or a list of texts and tokens are tokens: llama.cpp would cut
  /// them down to 32 bits.
  void require_tokens(const Json& prompt) const {
    if (prompt.is_array())
      for (const Json& part : prompt) require_tokens(part);
    if (!prompt.is_number()) return;
    if (!prompt.is_number_integer() || prompt.get<double>() >= 0x1p63)
      throw UsageError(fmt::format("{} is no token; tokens are whole numbers, 0 to {}", prompt.dump(),
                                   model->info().n_vocab - 1));
    model->token(prompt.get<std::int64_t>());
  }

  std::vector<std::vector<Token>> tokens(const Json& prompt) const {
    require_tokens(prompt);
    std::vector<std::vector<Token>> result;
    for (const server_tokens& part : tokenize_input_prompts(vocab(), nullptr, prompt, true, true, {})) {
      const llama_tokens& ids = part.get_tokens();
      result.emplace_back(ids.begin(), ids.end());
    }
    return result;
  }

  /// How many of the first tokens end within the first `n_bytes` of their text.
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
      system.push_back(left_out());
      only["messages"] = system;
      prompt.n_system = tokens_within(prompt.tokens, common_prefix(text, prompt_of(only)));
    }
    std::size_t start = std::string::npos;
    const std::size_t gap = said.rfind("\n\n", said.find_last_not_of(" \t\r\n"));
    if (!said.empty() && said.size() <= kLongestQuestion && messages.size() > 1) {
      last["content"] = kLeftOut;
      start = common_prefix(text, prompt_of(without));
    } else if (gap != said.npos && said.size() - gap <= kLongestQuestion) {
      start = text.rfind(said.substr(gap + 2));  // a question after a document
    }
    if (start != std::string::npos)
      prompt.n_question = std::int32_t(prompt.tokens.size()) - tokens_within(prompt.tokens, start);
  }

  std::string prompt_of(const Json& body) const {
    const Json prompt = rendered(body).at("prompt");
    return prompt.get<std::string>();
  }

  /// UsageError for a template that leaves out what users say, as a file without Jinja does.
  void check_template() const {
    Json body = Json::object();
    body["messages"] = Json::array();
    body["messages"].push_back(left_out());
    if (checked([&] { return prompt_of(body); }).find(kLeftOut) == std::string::npos)
      throw UsageError(
          "the chat template does not write a user's message into the prompt; give --chat-template-file a "
          "Jinja template");
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
  if (!defaults.chat_template.empty()) impl.check_template();
}

RequestParser::~RequestParser() = default;

ParsedRequest RequestParser::parse(Dialect dialect, const std::string& text, bool parts) const {
  return checked([&] {
    Json body = parse_json(text);
    ParsedRequest request;
    request.dialect = dialect;
    const bool echoes = dialect == Dialect::completions;
    request.echo = echoes && json_value(body, "echo", false);
    check_body(dialect, body);
    const std::string tool = Impl::is_chat(dialect) ? chosen_tool(body) : std::string();
    request.n_listed_probs = normalise(dialect, body);
    if (dialect == Dialect::responses) request.repeated_fields = repeated_fields_of(text);
    body = Impl::converted(dialect, body);
    if (!tool.empty()) body.erase("tool_choice");
    const Json data = impl_->with_prompt(dialect, body, tool);
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
    if (dialect != Dialect::completions && dialect != Dialect::chat) request.n_listed_probs = request.n_probs;
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
    check_body(dialect, body);
    body = Impl::converted(dialect, body);
    return impl_->tokens(impl_->with_prompt(dialect, body, {}).at("prompt")).front().size();
  });
}

std::string RequestParser::render(const std::string& text) const {
  return checked([&] { return impl_->prompt_of(parse_json(text)); });
}

std::vector<Token> RequestParser::tokenize(const nlohmann::ordered_json& content, bool add_special,
                                           bool parse_special) const {
  return checked([&] {
    const Json parts = Json::parse(content.dump());
    const auto is_part = [](const Json& part) { return part.is_string() || part.is_number(); };
    if (!parts.is_string() && !(parts.is_array() && std::all_of(parts.begin(), parts.end(), is_part)))
      throw UsageError("what is to be tokenized is a text, or a list of texts and tokens");
    impl_->require_tokens(parts);
    const llama_tokens tokens = tokenize_mixed(impl_->vocab(), parts, add_special, parse_special);
    return std::vector<Token>(tokens.begin(), tokens.end());
  });
}

std::string RequestParser::bos_text() const {
  const llama_token token = llama_vocab_bos(impl_->vocab());
  return token == LLAMA_TOKEN_NULL ? "" : common_token_to_piece(impl_->vocab(), token, true);
}

std::string RequestParser::eos_text() const {
  const llama_token token = llama_vocab_eos(impl_->vocab());
  return token == LLAMA_TOKEN_NULL ? "" : common_token_to_piece(impl_->vocab(), token, true);
}

const std::string& RequestParser::chat_template() const {
  return impl_->template_source;
}

}  // namespace chunkkv::serve
