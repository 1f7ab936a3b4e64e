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

  /// Takes the port; Error when that is not possible. Returns the port: that of the options, or a free one
  /// where they say 0.
  int bind();
  /// Serves until `stop`.
  void listen();
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chunkkv::serve
