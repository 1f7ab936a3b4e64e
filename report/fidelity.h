#pragma once

#include "report/ablation.h"
#include "report/table.h"

#include <span>
#include <string>
#include <vector>

namespace chunkkv::report {

/// Fidelity of one setting: how far the compressed caches are from the full one.
struct FidelitySection {
  /// Means over the samples, layer by layer; empty where no line has them.
  struct Layers {
    Pair pair;
    std::vector<double> kv_l1;
    std::vector<double> attention_cosine;
    std::vector<std::vector<double>> similarity;  ///< [layer][layer]
  };

  Setting setting;
  std::size_t n_samples = 0;
  Table figures;                  ///< one column a figure
  std::vector<std::string> keys;  ///< of the columns of `figures`, as in fidelity_figures()
  std::vector<Layers> layers;     ///< in the order of listed_before()
  std::vector<Ablation> ablations;
};

/// `lines` must be of one model and one setting, and not empty. Error when they disagree on the number of
/// layers.
FidelitySection fidelity_section(std::span<const Fidelity* const> lines, const std::string& baseline);

}  // namespace chunkkv::report
