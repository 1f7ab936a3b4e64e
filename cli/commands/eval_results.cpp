#include "cli/commands/eval_results.h"

#include "cli/terminal/output.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

namespace chunkkv::cli {

Results::Results(Campaign& campaign, const std::string& path, bool read_only) : campaign_(campaign) {
  std::size_t n_without_data = 0;
  campaign_.open(path, read_only, [&](const results::Json& line) {
    const auto score = line.find("score");
    const bool has_score = score != line.end() && score->is_number();
    known_.emplace(results::result_key(line), has_score ? std::optional(score->get<double>()) : std::nullopt);
    if (line["benchmark"] != "perf" && !line.contains("data")) ++n_without_data;
  });
  if (campaign_.file() && campaign_.file()->repaired())
    print_error(fmt::format("'{}' ended in a line that was cut short; it is done again\n", path));
  if (n_without_data > 0)
    print_error(
        fmt::format("'{}' has {} results of an older version that do not tell which data they are of; they "
                    "are not used\n",
                    path, n_without_data));
}

void Results::open_unjudged_file() {
  if (!campaign_.file()) return;
  unjudged_file_ = std::make_unique<results::ResultFile>(
      campaign_.file()->path() + ".unjudged",
      [this](const results::Json& line) { unjudged_.insert_or_assign(results::result_key(line), line); });
}

void Results::save_unjudged(const results::Json& line) {
  if (!unjudged_file_) return;
  unjudged_file_->append(line);
  unjudged_.insert_or_assign(results::result_key(line), results::Json());
}

void Results::drop_unjudged() {
  if (!unjudged_file_) return;
  for (const auto& [key, line] : unjudged_)
    if (!known_.contains(key) && !judged_.contains(key)) return;
  std::filesystem::remove(unjudged_file_->path());
  unjudged_file_.reset();
}

void Results::write(const results::Json& line) {
  if (campaign_.file())
    campaign_.file()->append(line);
  else
    print(results::to_text(line));
  if (unjudged_file_) judged_.insert(results::result_key(line));
}

}  // namespace chunkkv::cli
