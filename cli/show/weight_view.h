#pragma once

#include <chunkkv/session.h>

#include <nlohmann/json.hpp>

#include <span>
#include <string>

namespace chunkkv::cli {

/// How a model's weights are laid out and what multiplies them with a prompt, one line for each use, without
/// a newline at the end: "weights: 210 of q4_1, 73.5 MiB, plain: prompts by 16-bit integers, AVX2".
std::string weight_text(std::span<const WeightUse> uses);
nlohmann::ordered_json weight_json(std::span<const WeightUse> uses);

}  // namespace chunkkv::cli
