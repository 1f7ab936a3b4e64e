#pragma once

#include "benchmark.h"

#include <cstdint>
#include <string>

namespace chunkkv::eval {

/// Digest in 16 hexadecimal digits of all that changes a sample's answers or their scores: document,
/// questions, references, classes, stops, the use of a chat template, and how many tokens an answer may have.
/// `n_cells` is the cache's size where it is too small for the answers, else 0. All questions share it.
std::string sample_digest(const Sample& sample, std::int32_t n_predict, std::int32_t n_cells = 0);

}  // namespace chunkkv::eval
