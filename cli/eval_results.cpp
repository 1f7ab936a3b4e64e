#include "eval_results.h"

#include "output.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

namespace chunkkv::cli {

Results::Results(const std::string& path, bool only_look) {
  std::size_t n_without_data = 0;
  const auto learn = [&](const eval::Json& line) {
    const auto score = line.find("score");
    const bool has_score = score != line.end() && score->is_number();
    known_.emplace(eval::result_key(line), has_score ? score->get<double>() : 0.0);
    if (line["benchmark"] != "perf" && !line.contains("data")) ++n_without_data;
  };
  if (path.empty()) return;
  if (!only_look) {
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
