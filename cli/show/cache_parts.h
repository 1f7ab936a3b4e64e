#pragma once

#include <chunkkv/session.h>

#include <nlohmann/json.hpp>

#include <string>

namespace chunkkv::cli {

/// `describe` as a line of its own; empty where every layer keeps every token.
std::string parts_line(const Session& session);

/// UsageError where what is kept could not be converted to other types.
void require_conversion(const Session& session);

nlohmann::ordered_json parts_json(const CacheParts& parts, std::int32_t n_layer);

}  // namespace chunkkv::cli
