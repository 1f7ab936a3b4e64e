#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace chunkkv::serve {

/// JSON as it is sent: bytes that are not UTF-8, those of a part of a character for example, become U+FFFD.
inline std::string json_text(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace chunkkv::serve
