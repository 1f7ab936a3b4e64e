#include "progress.h"

#include "output.h"
#include "signals.h"

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

namespace chunkkv::cli {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

std::string duration(double seconds) {
  if (seconds < 99.5) return fmt::format("{:.0f} s", seconds);
  return fmt::format("{:.0f} min", seconds / 60);
}

}  // namespace

void add_progress_options(CLI::App& app, ProgressArguments& arguments) {
  app.add_option("--progress", arguments.when,
                 "on standard error: auto (a live line, or one every 5 s), lines or off")
      ->option_text("WHEN")
      ->check(CLI::IsMember({"auto", "lines", "off"}));
}

ProgressDisplay::ProgressDisplay(const ProgressArguments& arguments)
    : style_(Style::lines), interval_(std::chrono::seconds(5)) {
  if (arguments.when == "off") style_ = Style::none;
  if (arguments.when == "lines") interval_ = {};
  if (arguments.when == "auto" && isatty(STDERR_FILENO)) {
    style_ = Style::live;
    interval_ = std::chrono::milliseconds(50);
  }
}

Progress ProgressDisplay::callback() {
  start_ = last_ = Clock::now();
  if (style_ == Style::live) print_error("reading the prompt ...");
  return [this](const ReadState& state) {
    show(state);
    return !stop_requested();
  };
}

void ProgressDisplay::show(const ReadState& state) {
  const auto [done, total, n_entries, n_compressions] = state;
  const auto now = Clock::now();
  if (style_ == Style::none || done <= 0 || now - last_ < interval_) return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = double(done) / seconds;
  auto line = fmt::format("reading the prompt: {} of {} tokens ({} %), {:.0f} tokens/s, {} left", done, total,
                          done * 100 / total, rate, duration(double(total - done) / rate));
  if (n_compressions > 0) line += fmt::format("; {} cells, {} compressions", n_entries, n_compressions);
  print_error(style_ == Style::live ? fmt::format("{}{}", kEraseLine, line) : line + "\n");
}

void ProgressDisplay::finish() {
  if (style_ == Style::live) print_error(kEraseLine);
}

}  // namespace chunkkv::cli
