#pragma once

#include "serve/edges/dialect.h"
#include "serve/http/service.h"

namespace httplib {
struct Request;
struct Response;
}  // namespace httplib

namespace chunkkv::serve {

/// Answers a completion request of any dialect, whole or as a stream. The answers end when the client leaves.
void answer_completions(const Service& service, Dialect dialect, const httplib::Request& request,
                        httplib::Response& response);

void send(const Reply& reply, httplib::Response& response);
/// Writes an error in the dialect's shape.
void answer_error(Dialect dialect, Fault fault, const std::string& message, httplib::Response& response);

}  // namespace chunkkv::serve
