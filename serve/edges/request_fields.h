#pragma once

#include "serve/edges/dialect.h"

#include <server-task.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>

/// For this folder only: fields that llama.cpp reads otherwise than a request means them, or not at all.
namespace chunkkv::serve {

/// Rewrites or removes the fields that llama.cpp's schema would refuse or misread. Returns how many of the
/// most likely tokens the reply lists. UsageError for fields that ask for answers which this server does not
/// give.
std::int32_t normalise(Dialect dialect, common_json& body);

/// The fields that a reply of /v1/responses repeats of its request, or their defaults.
nlohmann::ordered_json repeated_fields_of(const std::string& text);

}  // namespace chunkkv::serve
