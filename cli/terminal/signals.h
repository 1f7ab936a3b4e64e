#pragma once

namespace chunkkv::cli {

/// From now on SIGINT and SIGTERM ask the running command to stop cleanly; a second one kills it.
void catch_stop_signals();

/// True once such a signal has come.
bool stop_requested();

/// Withdraws the stop that Ctrl-C requested, and catches the next signal again. False when the program is to
/// end all the same: by SIGTERM, or by a signal that has come meanwhile.
bool withdraw_stop();

/// Forgets the signal, for a command that is meant to be ended by one: the exit code is 0.
void end_by_signal();

/// Waits until `fd` has input or is at its end, and returns true; false when a stop is requested first.
bool wait_for_input(int fd);

/// 128 + the signal's number, the shell's convention.
int stop_exit_code();

}  // namespace chunkkv::cli
