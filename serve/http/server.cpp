#include "serve/http/server.h"

#include "serve/edges/reply_writer.h"
#include "serve/http/completions.h"
#include "serve/http/slots.h"
#include "web/assets.h"

#include <chunkkv/registry.h>

#include <cpp-httplib/httplib.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <exception>
#include <set>
#include <string_view>
#include <utility>

namespace chunkkv::serve {
namespace {

using Json = nlohmann::ordered_json;

/// Compares in a time that does not tell how much of the key is right.
bool is_same(std::string_view given, std::string_view key) {
  if (key.empty()) return given.empty();
  std::size_t difference = given.size() ^ key.size();
  for (std::size_t i = 0; i < given.size(); ++i)
    difference |=
        std::size_t(static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(key[i % key.size()]));
  return difference == 0;
}

std::int64_t number(const std::string& text, const char* what) {
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size())
    throw UsageError(fmt::format("{} is a number", what));
  return value;
}

Dialect dialect_of(const std::string& path) {
  if (path.ends_with("/messages") || path.ends_with("/count_tokens")) return Dialect::messages;
  if (path.ends_with("/responses")) return Dialect::responses;
  return Dialect::chat;  // errors of all others have OpenAI's shape
}

Json model_entry(const Service& service) {
  const ModelInfo& info = service.model->info();
  return {{"id", service.alias},
          {"object", "model"},
          {"created", std::time(nullptr)},
          {"owned_by", "chunkkv"},
          {"meta",
           {{"n_ctx", service.session.options().n_cells},
            {"n_ctx_train", info.n_ctx_train},
            {"n_params", info.n_params},
            {"size", info.n_bytes}}}};
}

Reply models(const Service& service) {
  // Some clients read `models`, others `data`.
  const Json own = {{"name", service.alias}, {"model", service.alias}, {"type", "model"}};
  return ok(
      {{"object", "list"}, {"data", Json::array({model_entry(service)})}, {"models", Json::array({own})}});
}

Reply properties(const Service& service) {
  Json list = Json::array();
  for (const MethodInfo& method : methods())
    list.push_back({{"name", method.name}, {"title", method.summary}});
  return ok({{"default_generation_settings", {{"n_ctx", service.session.options().n_cells}}},
             {"total_slots", service.n_parallel},
             {"model_alias", service.alias},
             {"n_ctx", service.session.options().n_cells},
             {"chat_template", service.parser.chat_template()},
             {"modalities", {{"vision", false}, {"audio", false}}},
             {"build_info", "chunkkv " + service.version},
             {"chunkkv",
              {{"version", service.version},
               {"methods", std::move(list)},
               {"method", service.kv.method->spec()},
               {"keep", service.kv.keep_text},
               {"cells", service.kv.cells},
               {"n_layers", service.session.cache_parts().compressed.size()},
               {"source_bytes", service.source_bytes}}}});
}

bool flag(const Json& body, const char* name, bool usual) {
  const auto at = body.find(name);
  if (at == body.end() || at->is_null()) return usual;
  if (!at->is_boolean()) throw UsageError(fmt::format("'{}' is true or false, not {}", name, at->dump()));
  return at->get<bool>();
}

/// Accepts llama-server's names of fields, and vLLM's.
Reply tokenize(const Service& service, const std::string& text) {
  const Json body = parse_object(text);
  Json tokens = Json::array();
  if (const char* const field = body.contains("prompt") ? "prompt" : "content"; body.contains(field)) {
    const auto ids = service.parser.tokenize(
        body[field], flag(body, "add_special", flag(body, "add_special_tokens", false)),
        flag(body, "parse_special", true));
    const bool with_pieces = flag(body, "with_pieces", false);
    for (const Token id : ids) {
      if (!with_pieces)
        tokens.push_back(id);
      else
        tokens.push_back({{"id", id}, {"piece", service.model->detokenize(id)}});
    }
  }
  const std::size_t count = tokens.size();
  return ok({{"tokens", std::move(tokens)},
             {"count", count},
             {"max_model_len", service.session.options().n_cells}});
}

Reply detokenize(const Service& service, const std::string& text) {
  const Json body = parse_object(text);
  std::vector<Token> tokens;
  if (body.contains("tokens")) {
    const Json& ids = body["tokens"];
    if (!ids.is_array() || !std::ranges::all_of(ids, [](const Json& id) { return id.is_number(); }))
      throw UsageError("'tokens' is a list of tokens");
    tokens = service.parser.tokenize(ids, false, false);
  }
  const std::string content = service.model->detokenize(tokens);
  return ok({{"content", content}, {"prompt", content}});
}

/// Describes the tokenizer as vLLM does, so that clients need none (lm-eval's tokenizer_backend=remote).
Reply tokenizer_info(const Service& service) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  return ok({{"tokenizer_class", "chunkkv"},
             {"bos_token", text_or_null(service.parser.bos_text())},
             {"eos_token", text_or_null(service.parser.eos_text())},
             {"pad_token", nullptr},
             {"chat_template", service.parser.chat_template()},
             {"model_max_length", service.session.options().n_cells}});
}

}  // namespace

struct HttpServer::Impl {
  Service service;
  HttpOptions options;
  httplib::Server server;

  using Answer = std::function<Reply(const httplib::Request&)>;

  httplib::Server::Handler plain(Answer answer) {
    return [answer = std::move(answer)](const httplib::Request& request, httplib::Response& response) {
      try {
        send(answer(request), response);
      } catch (const UsageError& error) {
        answer_error(dialect_of(request.path), Fault::invalid, error.what(), response);
      } catch (const Json::exception& error) {
        answer_error(dialect_of(request.path), Fault::invalid, error.what(), response);
      }
    };
  }
  httplib::Server::Handler completions(Dialect dialect) {
    return [this, dialect](const httplib::Request& request, httplib::Response& response) {
      answer_completions(service, dialect, request, response);
    };
  }

  bool has_key(const httplib::Request& request) const {
    static const std::set<std::string> open = {"/", "/health", "/v1/health", "/models", "/v1/models"};
    if (options.api_keys.empty() || open.contains(request.path) || request.method == "OPTIONS") return true;
    std::string given = request.get_header_value("x-api-key");
    constexpr std::string_view bearer = "Bearer ";
    if (const std::string header = request.get_header_value("Authorization"); header.starts_with(bearer))
      given = header.substr(bearer.size());
    bool is_right = false;
    for (const std::string& key : options.api_keys) is_right |= is_same(given, key);
    return is_right;
  }

  void get(const std::string& path, httplib::Server::Handler handler) {
    server.Get(path, std::move(handler));
    refuse_others(path, "GET");
  }
  void post(const std::string& path, httplib::Server::Handler handler) {
    server.Post(path, std::move(handler));
    refuse_others(path, "POST");
  }

  void refuse_others(const std::string& path, const std::string& allowed);
  void set_limits();
  void set_routes();
  void set_slot_routes();
};

/// Tells requests by another method than the one allowed at `path` so.
void HttpServer::Impl::refuse_others(const std::string& path, const std::string& allowed) {
  const auto refuse = [allowed](const httplib::Request& request, httplib::Response& response) {
    response.set_header("Allow", allowed);
    answer_error(dialect_of(request.path), Fault::wrong_method,
                 fmt::format("{} takes {}, not {}", request.path, allowed, request.method), response);
  };
  if (allowed != "GET") server.Get(path, refuse);
  if (allowed != "POST") server.Post(path, refuse);
  server.Put(path, refuse);
  server.Patch(path, refuse);
  server.Delete(path, refuse);
}

void HttpServer::Impl::set_limits() {
  server.set_payload_max_length(options.most_bytes);
  server.set_read_timeout(std::min(options.timeout, 30));  // seconds between two bytes
  server.set_write_timeout(options.timeout);
  server.set_keep_alive_timeout(5);
  server.set_tcp_nodelay(true);
  const auto n_threads = std::size_t(options.n_threads);
  server.new_task_queue = [n_threads] { return new httplib::ThreadPool(n_threads); };
  server.set_default_headers(
      {{"Server", "chunkkv"}, {"X-Frame-Options", "DENY"}, {"X-Content-Type-Options", "nosniff"}});
  server.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (!options.cors_origin.empty()) {
      response.set_header("Access-Control-Allow-Origin", options.cors_origin);
      response.set_header("Access-Control-Allow-Headers", "*");
      response.set_header("Access-Control-Allow-Methods", "GET, POST");
    }
    if (request.method == "OPTIONS") return httplib::Server::HandlerResponse::Handled;
    if (has_key(request)) return httplib::Server::HandlerResponse::Unhandled;
    answer_error(dialect_of(request.path), Fault::authentication, "the API key is missing or wrong",
                 response);
    return httplib::Server::HandlerResponse::Handled;
  });
  server.set_exception_handler(
      [](const httplib::Request& request, httplib::Response& response, const std::exception_ptr& error) {
        try {
          std::rethrow_exception(error);
        } catch (const std::exception& e) {
          answer_error(dialect_of(request.path), Fault::internal, e.what(), response);
        } catch (...) {
          answer_error(dialect_of(request.path), Fault::internal, "unknown error", response);
        }
      });
  server.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    if (response.status == 404)
      answer_error(dialect_of(request.path), Fault::not_found, "there is nothing at " + request.path,
                   response);
    else if (response.status == 413)
      answer_error(dialect_of(request.path), Fault::too_large, "the request's body is too large", response);
    else if (response.status >= 400)
      answer_error(dialect_of(request.path), Fault::invalid, "the request is not understood", response);
  });
}

void HttpServer::Impl::set_routes() {
  const auto health = plain([](const auto&) { return ok({{"status", "ok"}}); });
  const auto list = plain([this](const auto&) { return models(service); });
  for (const char* path : {"/health", "/v1/health"}) get(path, health);
  for (const char* path : {"/models", "/v1/models"}) get(path, list);
  get("/v1/models/:id", [this](const httplib::Request& request, httplib::Response& response) {
    const std::string& id = request.path_params.at("id");
    if (id != service.alias)
      return answer_error(Dialect::chat, Fault::not_found, fmt::format("there is no model '{}'", id),
                          response);
    send(ok(model_entry(service)), response);
  });
  get("/props", plain([this](const auto&) { return properties(service); }));
  get("/metrics", plain([this](const auto&) -> Reply {
        if (!service.has_metrics) throw UsageError("start the server with --metrics for this");
        return {.body = service.metrics.text(), .type = "text/plain; version=0.0.4; charset=utf-8"};
      }));
  get("/", plain([](const auto&) -> Reply {
        return {.body = std::string(web::assets::serve_page), .type = "text/html; charset=utf-8"};
      }));

  for (const char* path : {"/v1/chat/completions", "/chat/completions"})
    post(path, completions(Dialect::chat));
  post("/v1/completions", completions(Dialect::completions));
  for (const char* path : {"/completion", "/completions"}) post(path, completions(Dialect::native));
  for (const char* path : {"/v1/responses", "/responses"}) post(path, completions(Dialect::responses));
  post("/v1/messages", completions(Dialect::messages));
  post("/v1/messages/count_tokens", plain([this](const auto& request) {
         return ok({{"input_tokens", service.parser.count(Dialect::messages, request.body)}});
       }));
  post("/tokenize", plain([this](const auto& request) { return tokenize(service, request.body); }));
  post("/detokenize", plain([this](const auto& request) { return detokenize(service, request.body); }));
  get("/tokenizer_info", plain([this](const auto&) { return tokenizer_info(service); }));
  post("/apply-template", plain([this](const auto& request) {
         return ok({{"prompt", service.parser.render(request.body)}});
       }));
}

void HttpServer::Impl::set_slot_routes() {
  get("/slots", plain([this](const auto&) { return list_slots(service); }));
  post("/slots/:id", plain([this](const auto& request) {
         return act_on_slot(service, number(request.path_params.at("id"), "the slot"),
                            request.get_param_value("action"), request.body);
       }));
  get("/slots/:id/kept", plain([this](const auto& request) {
        const std::string layer = request.has_param("layer") ? request.get_param_value("layer") : "0";
        return show_kept(service, number(request.path_params.at("id"), "the slot"),
                         number(layer, "the layer"));
      }));
}

HttpServer::HttpServer(const Service& service, const HttpOptions& options)
    : impl_(new Impl{.service = service, .options = options, .server = {}}) {
  impl_->set_limits();
  impl_->set_routes();
  impl_->set_slot_routes();
}

HttpServer::~HttpServer() = default;

int HttpServer::bind() {
  HttpOptions& options = impl_->options;
  httplib::Server& server = impl_->server;
  // The library's own options would let two servers listen on one port, and share its clients.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  if (options.port == 0) {
    const int port = server.bind_to_any_port(options.host);
    if (port < 0)
      throw Error(
          fmt::format("cannot listen on {}: it has no free port, or it is not this machine's address; choose "
                      "another with --host",
                      options.host));
    return options.port = port;
  }
  if (!server.bind_to_port(options.host, options.port))
    throw Error(
        fmt::format("cannot listen on {}:{}: the port is in use, or the address is not this machine's; "
                    "choose others with --host and --port",
                    options.host, options.port));
  return options.port;
}

void HttpServer::listen() {
  impl_->server.listen_after_bind();
}

void HttpServer::stop() {
  impl_->server.stop();
}

}  // namespace chunkkv::serve
