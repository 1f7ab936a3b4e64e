#include "cli/terminal/progress.h"

#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <utility>

namespace chunkkv::cli {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

}  // namespace

std::string duration(double seconds) {
  if (seconds < 99.5) return fmt::format("{:.0f} s", seconds);
  if (seconds < 99.5 * 60) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

void add_progress_options(CLI::App& app, ProgressArguments& arguments) {
  app.add_option("--progress", arguments.when,
                 "on standard error: auto (a live line, or one now and then), lines or off")
      ->option_text("WHEN")
      ->check(CLI::IsMember({"auto", "lines", "off"}));
}

StatusLine::StatusLine(const ProgressArguments& arguments, std::chrono::seconds interval)
    : interval_(interval) {
  if (arguments.when == "off") style_ = Style::none;
  if (arguments.when == "lines") interval_ = {};
  if (arguments.when == "auto" && isatty(STDERR_FILENO)) {
    style_ = Style::live;
    interval_ = std::chrono::milliseconds(50);
  }
}

bool StatusLine::due() const {
  return style_ != Style::none && Clock::now() - last_ >= interval_;
}

void StatusLine::show(const std::string& text) {
  if (style_ == Style::none) return;
  last_ = Clock::now();
  is_shown_ = style_ == Style::live;
  print_error(is_shown_ ? fmt::format("{}{}", kEraseLine, text) : text + "\n");
}

void StatusLine::print_above(const std::string& text) {
  finish();
  print_error(text);
}

void StatusLine::finish() {
  if (std::exchange(is_shown_, false)) print_error(kEraseLine);
}

ProgressDisplay::ProgressDisplay(const ProgressArguments& arguments)
    : line_(arguments, std::chrono::seconds(5)) {}

Progress ProgressDisplay::callback() {
  timer_ = {};
  if (line_.live()) line_.show("reading the prompt ...");
  return [this](const ReadState& state) {
    if (state.done > 0 && line_.due()) show(state);
    return !stop_requested();
  };
}

void ProgressDisplay::show(const ReadState& state) {
  const auto [done, total, n_entries, n_compressions] = state;
  const double rate = 1000 * double(done) / timer_.ms();
  auto line = fmt::format("reading the prompt: {} of {} tokens ({} %), {:.0f} tokens/s, {} left", done, total,
                          done * 100 / total, rate, duration(double(total - done) / rate));
  if (n_compressions > 0) line += fmt::format("; {} cells, {} compressions", n_entries, n_compressions);
  line_.show(line);
}

}  // namespace chunkkv::cli
