#include "cli/terminal/signals.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace chunkkv::cli {
namespace {

volatile std::sig_atomic_t caught = 0;
// A signal may arrive in any thread; whoever waits for input learns of it through this pipe.
std::array<int, 2> wake = {-1, -1};

void remember(int signal) {
  const int before = errno;
  caught = signal;
  [[maybe_unused]] const ssize_t n = write(wake[1], "", 1);
  errno = before;
}

void install() {
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

void catch_stop_signals() {
  if (pipe2(wake.data(), O_CLOEXEC | O_NONBLOCK) != 0) wake = {-1, -1};
  install();
}

bool stop_requested() {
  return caught != 0;
}

bool withdraw_stop() {
  if (caught == SIGTERM) return false;
  caught = 0;
  char drained[16];
  while (read(wake[0], drained, sizeof drained) > 0) {
  }
  install();
  return caught == 0;
}

void end_by_signal() {
  caught = 0;
}

bool wait_for_input(int fd) {
  std::array<pollfd, 2> files = {{{fd, POLLIN, 0}, {wake[0], POLLIN, 0}}};
  while (!stop_requested()) {
    if (poll(files.data(), files.size(), -1) < 0 && errno != EINTR) return true;  // reading will tell
    if (files[0].revents != 0) return !stop_requested();
  }
  return false;
}

int stop_exit_code() {
  return 128 + int(caught);
}

}  // namespace chunkkv::cli
