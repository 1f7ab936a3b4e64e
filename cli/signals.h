#pragma once

namespace chunkkv::cli {

/// From now on SIGINT and SIGTERM ask the running command to stop cleanly; a second one kills.
void catch_stop_signals();

/// True once such a signal has come.
bool stop_requested();

/// 128 + the signal's number, the shell's convention.
int stop_exit_code();

}  // namespace chunkkv::cli
