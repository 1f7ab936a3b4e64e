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

/// All results that were read, in the order of reading.
struct Results {
  std::vector<std::string> files;
  std::int64_t n_lines = 0;     ///< without blank ones
  std::int64_t n_repeated = 0;  ///< lines left out because another line is of the same measurement
  std::vector<Answer> answers;
  std::vector<Fidelity> fidelity;
  std::vector<Speed> speed;
};

/// Collects the lines of JSONL texts. Of several lines of one measurement the first counts, as in `eval
/// merge`, but a line without the digest of its data is replaced by one that has it. Unknown keys are
/// ignored. Error names `file` and the broken line.
class ResultReader {
 public:
  void read(const std::string& file, std::string_view text);
  const Results& results() const { return results_; }

 private:
  void read_line(std::string_view text);
  /// Adds `line`, or counts it as repeated where its measurement is known.
  template <class Line>
  void put(std::vector<Line>& lines, Line line);

  Results results_;
  /// Index of a measurement among the lines of its kind, by its key and by the digest of its data.
  std::map<std::string, std::map<std::string, std::size_t>> places_;
};

}  // namespace chunkkv::report
