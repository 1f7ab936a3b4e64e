// Errors in the shapes of the dialects.
#include "serve/edges/event_stream.h"
#include "serve/edges/reply_writer.h"

#include <server-common.h>

namespace chunkkv::serve {
namespace {

using Json = nlohmann::ordered_json;

/// What a fault is in the APIs.
struct FaultKind {
  int status;
  error_type type;       ///< llama.cpp's, which knows OpenAI's
  const char* messages;  ///< Anthropic's type
};

/// [Fault]
constexpr FaultKind kFaults[] = {
    {400, ERROR_TYPE_INVALID_REQUEST, "invalid_request_error"},
    {401, ERROR_TYPE_AUTHENTICATION, "authentication_error"},
    {404, ERROR_TYPE_NOT_FOUND, "not_found_error"},
    {405, ERROR_TYPE_INVALID_REQUEST, "invalid_request_error"},
    {400, ERROR_TYPE_EXCEED_CONTEXT_SIZE, "invalid_request_error"},
    {413, ERROR_TYPE_INVALID_REQUEST, "request_too_large"},
    {503, ERROR_TYPE_UNAVAILABLE, "overloaded_error"},
    {500, ERROR_TYPE_SERVER, "api_error"},
};

}  // namespace

int http_status(Fault fault) {
  return kFaults[std::size_t(fault)].status;
}

Json error_body(Dialect dialect, Fault fault, const std::string& message) {
  const FaultKind& kind = kFaults[std::size_t(fault)];
  if (dialect == Dialect::messages)
    return {{"type", "error"}, {"error", {{"type", kind.messages}, {"message", message}}}};
  Json error = Json::parse(format_error_response(message, kind.type).dump_safe());
  error["code"] = kind.status;
  if (fault == Fault::too_long) {
    error["type"] = "invalid_request_error";
    error["code"] = "context_length_exceeded";
  }
  error["param"] = nullptr;
  return {{"error", error}};
}

std::string error_event(Dialect dialect, Fault fault, const std::string& message) {
  const Json body = error_body(dialect, fault, message);
  const bool is_named = dialect == Dialect::messages || dialect == Dialect::responses;
  return as_events(is_named ? Json{{"event", "error"}, {"data", body}} : body);
}

}  // namespace chunkkv::serve
