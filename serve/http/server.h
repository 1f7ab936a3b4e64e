#pragma once

#include "serve/http/service.h"

#include <functional>
#include <memory>
#include <string>

namespace chunkkv::serve {

/// The HTTP server: routes, keys, limits. Requests are answered by threads of its own.
class HttpServer {
 public:
  HttpServer(const Service& service, const HttpOptions& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Takes the port of the options, or a free one where that is 0, and returns it. Error when it cannot.
  int bind();
  /// Serves until `stop`.
  void listen();
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chunkkv::serve
