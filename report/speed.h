#pragma once

#include "report/ablation.h"
#include "report/results.h"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::report {

/// A figure over the repetitions.
struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};

/// Speed and memory on one machine with the same settings.
struct SpeedSection {
  struct Row {
    std::int64_t input = 0;   ///< tokens
    std::int64_t output = 0;  ///< tokens
    Pair pair;
    std::size_t n_repetitions = 0;
    std::map<std::string, Spread> figures;  ///< by the keys of speed_figures()
  };

  std::string machine;              ///< and the settings that are not at their defaults
  std::vector<Row> rows;            ///< by input and output, then in the order of listed_before()
  std::vector<Ablation> ablations;  ///< at the longest input and output; intervals are lowest to highest
};

/// A line's machine and its settings.
std::string set_up(const Speed& line);

/// `lines` must be of one model and one set-up, and not empty.
SpeedSection speed_section(std::span<const Speed* const> lines);

}  // namespace chunkkv::report
