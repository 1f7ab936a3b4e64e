#pragma once

#include "cli/options/options.h"

#include <chunkkv/cache_file.h>

#include <nlohmann/json.hpp>

#include <string>

namespace chunkkv::cli {

/// What a new file tells about this program, this session and the time; the rest is left to fill in.
CacheFileInfo new_info(const Session& session, const CacheFormat& format);

/// Session options that a file's cache needs: its types count where -ctk, -ctv were not given.
SessionOptions options_for(const CacheFileInfo& info, const ModelArguments& arguments);

/// What a file holds, for people and for programs.
std::string description(const std::string& path, const CacheFile& file);
nlohmann::ordered_json to_json(const std::string& path, const CacheFile& file);

}  // namespace chunkkv::cli
