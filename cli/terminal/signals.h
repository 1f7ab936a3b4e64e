#pragma once

namespace chunkkv::cli {

/// From now on SIGINT and SIGTERM ask the running command to stop cleanly; a second one kills.
void catch_stop_signals();

/// True once such a signal has come.
bool stop_requested();

/// Takes back what Ctrl-C asked for, and catches the next one again. False when the program is to end, by
/// SIGTERM.
bool take_back_stop();

/// A signal was the way to end this command, not an interruption: the exit code is 0.
void end_by_signal();

/// Waits until there is input, or its end: true; or until a stop is requested: false.
bool wait_for_input(int fd);

/// 128 + the signal's number, the shell's convention.
int stop_exit_code();

}  // namespace chunkkv::cli
