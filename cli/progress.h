#pragma once

#include <chunkkv/session.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace chunkkv::cli {

struct ProgressArguments {
  std::string when = "auto";
};

void add_progress_options(CLI::App& app, ProgressArguments& arguments);

/// Shows on standard error how far the reading of a prompt is: one line that changes on a terminal, else a
/// line now and then. Stops the reading after Ctrl-C.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(const ProgressArguments& arguments);

  /// To give to Session::prefill; this object must outlive it.
  Progress callback();
  /// Removes the line from the terminal.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  enum class Style : std::uint8_t { none, live, lines };

  void show(const ReadState& state);

  Style style_;
  Clock::duration interval_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

}  // namespace chunkkv::cli
