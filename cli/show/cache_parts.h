#pragma once

#include <chunkkv/session.h>

#include <nlohmann/json.hpp>

#include <string>

namespace chunkkv::cli {

/// What the model's layers keep, as a line; empty where every layer keeps every token.
std::string parts_line(const Session& session);

/// UsageError where layers keep windows, which cannot be converted to other cache types.
void require_conversion(const Session& session);

nlohmann::ordered_json parts_json(const CacheParts& parts, std::int32_t n_layer);

}  // namespace chunkkv::cli
