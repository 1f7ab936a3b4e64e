#pragma once

#include "serve/edges/event_stream.h"
#include "serve/edges/reply_writer.h"
#include "serve/engine/kv_settings.h"
#include "serve/engine/metrics.h"
#include "serve/engine/prompt_files.h"
#include "serve/engine/scheduler.h"

#include <chunkkv/session.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace chunkkv::serve {

/// What the HTTP side needs of a running server.
struct Service {
  std::shared_ptr<Model> model;
  Session& session;  ///< between steps only, except its options and cache parts
  RequestParser& parser;
  Scheduler& scheduler;
  PromptFiles& files;
  Metrics& metrics;
  KvSettings kv;  ///< settings that a request's field `kv` changes
  std::string alias;
  std::string version;
  std::int32_t n_parallel = 4;
  std::uint64_t source_bytes = 0;
  bool has_metrics = false;
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  std::int32_t port = 8080;
  std::vector<std::string> api_keys;
  std::int32_t timeout = 600;  ///< seconds that a write may wait for the client, and, up to 30, a read
  std::size_t most_bytes = 64U << 20;  ///< largest body of a request
  std::int32_t n_threads = 64;         ///< connections served at once
  std::string cors_origin;             ///< origin whose pages may use the server; empty: its own pages only
};

/// Status and body of a reply; `retry_later` adds a header Retry-After.
struct Reply {
  int status = 200;
  std::string body;
  std::string type = "application/json; charset=utf-8";
  bool retry_later = false;
};
inline Reply ok(const nlohmann::ordered_json& json) {
  return {.body = json_text(json)};
}
inline Reply error_reply(Dialect dialect, Fault fault, const std::string& message) {
  return {.status = http_status(fault),
          .body = json_text(error_body(dialect, fault, message)),
          .retry_later = fault == Fault::busy};
}

}  // namespace chunkkv::serve
