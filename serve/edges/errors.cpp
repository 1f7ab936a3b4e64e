// Errors in the shapes of the dialects.
#include "serve/edges/json_text.h"
#include "serve/edges/reply_writer.h"

#include <server-common.h>

namespace chunkkv::serve {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

int http_status(Fault fault) {
  switch (fault) {
    case Fault::invalid:
    case Fault::too_long:
      return 400;
    case Fault::authentication:
      return 401;
    case Fault::not_found:
      return 404;
    case Fault::too_large:
      return 413;
    case Fault::busy:
      return 503;
    case Fault::not_supported:
      return 501;
    case Fault::internal:
      break;
  }
  return 500;
}

Json error_body(Dialect dialect, Fault fault, const std::string& message) {
  constexpr error_type kinds[] = {ERROR_TYPE_INVALID_REQUEST, ERROR_TYPE_AUTHENTICATION,
                                  ERROR_TYPE_NOT_FOUND,       ERROR_TYPE_EXCEED_CONTEXT_SIZE,
                                  ERROR_TYPE_INVALID_REQUEST, ERROR_TYPE_UNAVAILABLE,
                                  ERROR_TYPE_NOT_SUPPORTED,   ERROR_TYPE_SERVER};
  Json error = Json::parse(format_error_response(message, kinds[std::size_t(fault)]).dump_safe());
  error["code"] = http_status(fault);
  if (dialect == Dialect::messages) {
    const char* type = fault == Fault::authentication ? "authentication_error"
                       : fault == Fault::not_found    ? "not_found_error"
                       : fault == Fault::too_large    ? "request_too_large"
                       : fault == Fault::busy         ? "overloaded_error"
                       : http_status(fault) == 400    ? "invalid_request_error"
                                                      : "api_error";
    return {{"type", "error"}, {"error", {{"type", type}, {"message", message}}}};
  }
  if (fault == Fault::too_long) {
    error["type"] = "invalid_request_error";
    error["code"] = "context_length_exceeded";
  }
  error["param"] = nullptr;
  return {{"error", error}};
}

std::string error_event(Dialect dialect, Fault fault, const std::string& message) {
  const std::string body = json_text(error_body(dialect, fault, message));
  if (dialect == Dialect::messages || dialect == Dialect::responses)
    return "event: error\ndata: " + body + "\n\n";
  return "data: " + body + "\n\n";
}

}  // namespace chunkkv::serve
