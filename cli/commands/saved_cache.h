#pragma once

#include "cli/options/options.h"

#include <chunkkv/cache_file.h>

#include <nlohmann/json.hpp>

#include <string>

namespace chunkkv::cli {

/// Describes a new file: this program, the session, its model and the time. The caller fills in the rest.
CacheFileInfo new_info(const Session& session, const CacheFormat& format);

/// The session options that a file's cache needs: the file's types where -ctk and -ctv were not given.
SessionOptions options_for(const CacheFileInfo& info, const ModelArguments& arguments);

/// What a file holds, as lines for people and as JSON for programs.
std::string description(const std::string& path, const CacheFile& file);
nlohmann::ordered_json to_json(const std::string& path, const CacheFile& file);

}  // namespace chunkkv::cli
