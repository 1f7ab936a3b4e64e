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
  std::map<std::string, double> figures;  ///< by column: "kl", "top1", ...; only those that the line has
  std::vector<double> kv_l1_layers;       ///< [layer], empty where the line has none
  std::vector<double> attention_cosine_layers;  ///< [layer]
  std::vector<std::vector<double>> similarity;  ///< Jaccard similarity of kept sets, [layer][layer]

  // Only written, not read back.
  std::int32_t window = 0;  ///< tokens of the method's window that a small budget left; 0: all
  std::map<std::string, double> facts = {};  ///< the sample's own columns
};

/// Mean of a list with one value a layer, which must not be empty.
double mean(const std::vector<double>& values);

/// Identifies the measurement, without the digest of its data.
std::string key(const FidelityRecord& record);

/// The columns that identify the measurement; their `result_key` is that of the whole line.
Json identity(const FidelityRecord& record);
/// The whole line, with the figures in `measured`.
Json to_json(const FidelityRecord& record, const Fidelity& measured);
/// Reads a line back. UsageError says what it lacks or what is wrong with it.
FidelityRecord fidelity_record(const Json& line);

}  // namespace chunkkv::results
