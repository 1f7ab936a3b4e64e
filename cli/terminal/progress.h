#pragma once

#include "base/stopwatch.h"

#include <chunkkv/reading.h>

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

/// A line on standard error that tells how far something is: on a terminal one line that changes and goes
/// with this object, else a new line now and then.
class StatusLine {
 public:
  /// Without a terminal a line is due every `interval`, unless the arguments say otherwise.
  StatusLine(const ProgressArguments& arguments, std::chrono::seconds interval);
  ~StatusLine() { finish(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  /// True when the interval has passed since the last line; never with --progress off.
  bool due() const;
  void show(const std::string& text);
  /// Writes `text`, whole lines, between the status lines.
  void print_above(const std::string& text);
  /// Removes the line from the terminal.
  void finish();
  bool live() const { return style_ == Style::live; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Style : std::uint8_t { none, live, lines };

  Style style_ = Style::lines;
  Clock::duration interval_;
  Clock::time_point last_ = Clock::now();
  bool is_shown_ = false;  // on the terminal, until it is removed
};

/// "48 s", "12 min", "3.5 h".
std::string duration(double seconds);

/// Shows how far the reading of a prompt is. Stops the reading after Ctrl-C.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(const ProgressArguments& arguments);

  /// The callback to give to Sequence::prefill or read; this object must outlive it.
  Progress callback();
  /// Removes the line from the terminal.
  void finish() { line_.finish(); }

 private:
  void show(const ReadState& state);

  StatusLine line_;
  Timer timer_;
};

}  // namespace chunkkv::cli
