#include "cli/measure/campaign.h"

#include "cli/files/inputs.h"
#include "cli/terminal/signals.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

namespace chunkkv::cli {

void Campaign::open(const std::string& path, bool read_only,
                    const std::function<void(const results::Json&)>& learn) {
  if (path.empty()) return;
  if (!read_only) {
    file_ = std::make_unique<results::ResultFile>(refuse_input(path), learn);
  } else if (std::filesystem::exists(path)) {
    results::read_results(path, [&](const results::Json& line, std::size_t) { learn(line); });
  }
}

void Campaign::run(std::span<const double> efforts, const std::function<void(std::size_t)>& item) {
  effort_ = std::accumulate(efforts.begin(), efforts.end(), 0.0);
  done_ = 0;
  timer_ = {};
  with_advice([&] {
    for (std::size_t i = 0; i < efforts.size(); ++i) {
      if (stop_requested()) throw Interrupted("interrupted");
      item(i);
      done_ += efforts[i];
    }
  });
}

void Campaign::with_advice(const std::function<void()>& work) {
  try {
    work();
  } catch (const Interrupted&) {
    status_.finish();
    throw Interrupted("interrupted" + advice());
  } catch (...) {
    status_.finish();
    throw;
  }
}

bool Campaign::report_progress(double part, const Describe& describe) {
  if (status_.due()) {
    const double share = (done_ + part) / effort_;
    status_.show(describe(share, duration(timer_.ms() / 1000 * (1 - share) / std::max(share, 1e-6))));
  }
  return !stop_requested();
}

std::string Campaign::advice() const {
  if (!file_) return "";
  return fmt::format("; '{}' holds {} results, and the same command goes on from there", file_->path(),
                     file_->n_lines());
}

}  // namespace chunkkv::cli
