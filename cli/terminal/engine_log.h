#pragma once

#include <string>

namespace chunkkv::cli {

/// From now on llama.cpp's messages go to standard error with `verbose`, and are not shown without.
void set_engine_log(bool verbose);
/// From now on the program says so when it ends because a server of --rpc is gone.
void report_lost_servers();
/// Whether llama.cpp's messages go to standard error.
bool shows_engine_log();

/// The last error messages of llama.cpp that were not shown, a line each; they say why a load failed.
std::string silenced_errors();

/// Version of the llama.cpp linked in.
std::string engine_version();

}  // namespace chunkkv::cli
