#include "cli/commands/eval_results.h"

#include "cli/files/inputs.h"
#include "cli/terminal/output.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

namespace chunkkv::cli {

Results::Results(const std::string& path, bool only_look) {
  std::size_t n_without_data = 0;
  const auto learn = [&](const eval::Json& line) {
    const auto score = line.find("score");
    const bool has_score = score != line.end() && score->is_number();
    known_.emplace(eval::result_key(line), has_score ? std::optional(score->get<double>()) : std::nullopt);
    if (line["benchmark"] != "perf" && !line.contains("data")) ++n_without_data;
  };
  if (path.empty()) return;
  if (!only_look) {
    refuse_input(path);
    file_ = std::make_unique<eval::ResultFile>(path, learn);
  } else if (std::filesystem::exists(path)) {
    const eval::LastLine last =
        eval::read_results(path, [&](const eval::Json& line, std::size_t) { learn(line); });
    if (const std::optional<eval::Json> whole = eval::whole_result(last, path)) learn(*whole);
  }
  if (file_ && file_->repaired())
    print_error(fmt::format("'{}' ended in a line that was cut short; it is done again\n", path));
  if (n_without_data > 0)
    print_error(
        fmt::format("'{}' has {} results of an older version that do not tell which data they are of; they "
                    "are not used\n",
                    path, n_without_data));
}

void Results::keep_unjudged() {
  if (!file_) return;
  unjudged_file_ = std::make_unique<eval::ResultFile>(
      file_->path() + ".unjudged",
      [this](const eval::Json& line) { unjudged_.insert_or_assign(eval::result_key(line), line); });
}

void Results::save_unjudged(const eval::Json& line) {
  if (!unjudged_file_) return;
  unjudged_file_->append(line);
  unjudged_.insert_or_assign(eval::result_key(line), eval::Json());
}

void Results::drop_unjudged() {
  if (!unjudged_file_) return;
  for (const auto& [key, line] : unjudged_)
    if (!known_.contains(key) && !judged_.contains(key)) return;
  std::filesystem::remove(unjudged_file_->path());
  unjudged_file_.reset();
}

void Results::write(const eval::Json& line) {
  if (file_)
    file_->append(line);
  else
    print(eval::to_text(line));
  if (unjudged_file_) judged_.insert(eval::result_key(line));
}

std::string Results::advice() const {
  if (!file_) return "";
  return fmt::format("; '{}' holds {} results, and the same command goes on from there", file_->path(),
                     file_->n_lines());
}

}  // namespace chunkkv::cli
