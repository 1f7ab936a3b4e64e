#pragma once

#include "results/answer.h"
#include "results/fidelity.h"
#include "results/speed.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::report {

using results::Origin;
using results::Pair;
using results::Sample;
using results::Setting;
using Answer = results::AnswerRecord;
using Fidelity = results::FidelityRecord;
using Speed = results::SpeedRecord;

/// Everything that was read, in the order of reading.
struct Results {
  std::vector<std::string> files;
  std::int64_t n_lines = 0;     ///< without empty ones
  std::int64_t n_repeated = 0;  ///< lines that were left out, as another one tells the same measurement
  std::vector<Answer> answers;
  std::vector<Fidelity> fidelity;
  std::vector<Speed> speed;
};

/// Adds the lines of one JSONL text. Of several lines of one measurement the first counts, as in `eval
/// merge`; a line that does not tell its data gives way to one that does. Keys that are not known are passed
/// over. Error names `file` and the line that is broken.
class ResultReader {
 public:
  void read(const std::string& file, std::string_view text);
  const Results& results() const { return results_; }

 private:
  void read_line(std::string_view text);
  /// Adds `line`, unless its measurement is known.
  template <class Line>
  void put(std::vector<Line>& lines, Line line);

  Results results_;
  /// Of a measurement among the lines of its kind, by what names it and by its data.
  std::map<std::string, std::map<std::string, std::size_t>> places_;
};

}  // namespace chunkkv::report
