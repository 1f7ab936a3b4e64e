#include "signals.h"

#include <csignal>

namespace chunkkv::cli {
namespace {

volatile std::sig_atomic_t caught = 0;

void remember(int signal) {
  caught = signal;
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool stop_requested() {
  return caught != 0;
}

int stop_exit_code() {
  return 128 + int(caught);
}

}  // namespace chunkkv::cli
