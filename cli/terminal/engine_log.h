#pragma once

#include <string>

namespace chunkkv::cli {

/// From now on llama.cpp's messages go to standard error with `verbose`, and are silent without.
void set_engine_log(bool verbose);
/// Whether they go to standard error.
bool shows_engine_log();

/// The last error messages of llama.cpp that were silenced, a line each; says why a load failed.
std::string silenced_errors();

/// Version of the llama.cpp linked in.
std::string engine_version();

}  // namespace chunkkv::cli
