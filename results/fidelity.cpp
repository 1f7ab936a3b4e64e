#include "results/fidelity.h"

#include "results/fields.h"

#include <chunkkv/fidelity.h>

#include <array>
#include <numeric>
#include <utility>

namespace chunkkv::results {
namespace {

/// Columns with one number.
constexpr std::array kFigures = {
    "kl", "top1", "kv_l1", "attention_cosine", "attention_mass", "adjacent_similarity"};

}  // namespace

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}

std::string key(const FidelityRecord& record) {
  return sample_key(record.origin, record.setting, record.sample, record.pair);
}

Json identity(const FidelityRecord& record) {
  Json line = identity_columns(record.origin, record.setting, record.sample, record.pair, record.window);
  for (const auto& [name, value] : record.facts) line[name] = value;
  return line;
}

Json to_json(const FidelityRecord& record, const Fidelity& f) {
  Json line = identity(record);
  line["prompt_tokens"] = f.n_entries;
  line["kept_tokens"] = f.n_kept;
  line["compared_tokens"] = f.n_tokens;
  line["kl"] = f.kl;
  line["kl_by_token"] = f.kl_of;
  line["top1"] = f.top1;
  line["skipped_tokens"] = f.n_tokens - f.n_rest;
  line["kl_rest"] = f.n_rest > 0 ? Json(f.kl_rest) : Json(nullptr);
  line["top1_rest"] = f.n_rest > 0 ? Json(f.top1_rest) : Json(nullptr);
  if (f.after < 0) line["compressed"] = false;
  line["kv_l1"] = mean(f.kv_l1);
  line["kv_l1_layers"] = f.kv_l1;
  line["attention_cosine"] = mean(f.attention_cosine);
  line["attention_cosine_layers"] = f.attention_cosine;
  line["attention_mass"] = mean(f.attention_mass);
  line["adjacent_similarity"] = f.adjacent_similarity;
  const auto n = f.kv_l1.size();
  Json matrix = Json::array();
  for (std::size_t layer = 0; layer < n; ++layer)
    matrix.push_back(std::vector<double>(f.similarity.begin() + std::ptrdiff_t(layer * n),
                                         f.similarity.begin() + std::ptrdiff_t((layer + 1) * n)));
  line["similarity"] = std::move(matrix);
  add_origin(line, record.origin);
  return line;
}

FidelityRecord fidelity_record(const Json& line) {
  const Fields fields(line);
  FidelityRecord record{.origin = fields.origin(),
                        .setting = fields.setting(),
                        .sample = fields.sample(),
                        .pair = fields.pair(),
                        .figures = {},
                        .kv_l1_layers = fields.numbers("kv_l1_layers"),
                        .attention_cosine_layers = fields.numbers("attention_cosine_layers"),
                        .similarity = fields.matrix("similarity")};
  for (const char* figure : kFigures)
    if (const auto number = fields.number(figure)) record.figures.emplace(figure, *number);
  return record;
}

}  // namespace chunkkv::results
