#pragma once

#include <cstdint>

namespace chunkkv::serve {

/// The APIs that a request may come by; each has its own shapes of request, reply, stream and error.
enum class Dialect : std::uint8_t {
  native,       ///< llama.cpp's /completion
  completions,  ///< OpenAI's /v1/completions
  chat,         ///< OpenAI's /v1/chat/completions
  responses,    ///< OpenAI's /v1/responses
  messages,     ///< Anthropic's /v1/messages
};

/// What went wrong with a request; it decides the HTTP status.
enum class Fault : std::uint8_t {
  invalid,         ///< 400
  authentication,  ///< 401
  not_found,       ///< 404
  wrong_method,    ///< 405
  too_long,        ///< 400, context_length_exceeded
  too_large,       ///< 413
  busy,            ///< 503
  internal,        ///< 500
};

int http_status(Fault fault);

}  // namespace chunkkv::serve
