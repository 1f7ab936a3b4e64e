#include "eval_results.h"

#include "output.h"

#include <fmt/format.h>

#include <filesystem>

namespace chunkkv::cli {

Results::Results(const std::string& path, bool only_look) {
  const auto learn = [this](const eval::Json& line) {
    const auto score = line.find("score");
    const bool has_score = score != line.end() && score->is_number();
    known_.emplace(eval::result_key(line), has_score ? score->get<double>() : 0.0);
  };
  if (path.empty()) return;
  if (only_look) {
    if (std::filesystem::exists(path))
      eval::read_results(path, [&](const eval::Json& line, std::size_t) { learn(line); });
    return;
  }
  file_ = std::make_unique<eval::ResultFile>(path, learn);
  if (file_->repaired())
    print_error(fmt::format("'{}' ended in a line that was cut short; it is done again\n", path));
}

void Results::write(const eval::Json& line) {
  if (file_)
    file_->append(line);
  else
    print(eval::to_text(line));
}

std::string Results::advice() const {
  if (!file_) return "";
  return fmt::format("; '{}' holds {} results, and the same command goes on from there", file_->path(),
                     file_->n_lines());
}

}  // namespace chunkkv::cli
