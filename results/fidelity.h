#pragma once

#include "results/identity.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace chunkkv {
struct Fidelity;
}

namespace chunkkv::results {

/// How far one compressed cache is from the full one.
struct FidelityRecord {
  Origin origin;
  Setting setting;
  Sample sample;
  Pair pair;
  std::map<std::string, double> figures;        ///< those of "kl", "top1", ... that the line has
  std::vector<double> kv_l1_layers;             ///< [layer], empty where the line has none
  std::vector<double> attention_cosine_layers;  ///< [layer]
  std::vector<std::vector<double>> similarity;  ///< [layer][layer], Jaccard

  // What is written only.
  std::int32_t window = 0;                   ///< that a small budget left of the method's; 0: its own
  std::map<std::string, double> facts = {};  ///< of the sample
};

/// Of what each layer has.
double mean(const std::vector<double>& values);

/// Names the measurement but for its data.
std::string key(const FidelityRecord& record);

/// The columns that tell what is asked of whom; their `result_key` is the line's.
Json identity(const FidelityRecord& record);
/// The whole line of what was measured.
Json to_json(const FidelityRecord& record, const Fidelity& measured);
/// UsageError names what is wrong with a line, or lacks.
FidelityRecord fidelity_record(const Json& line);

}  // namespace chunkkv::results
