#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace chunkkv::serve {

/// JSON as it is sent: what is no UTF-8 in it, part of a token for example, becomes U+FFFD.
inline std::string json_text(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace chunkkv::serve
