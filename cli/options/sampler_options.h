#pragma once

#include "cli/options/option_group.h"

#include <cstdint>

namespace chunkkv::cli {

/// Declares the sampler's options: a command's own, or a server's defaults for requests that give none.
/// `Values` has temperature, top_k, top_p, min_p and seed; `temperature` and `seed` are help texts.
template <class Values>
void add_sampler_options(const OptionGroup& options, Values& values, const char* temperature,
                         const char* seed) {
  options.add("--temp,--temperature", values.temperature, temperature, "X", 0.0, 100.0);
  options.add("--top-k", values.top_k, "only the K most likely tokens, 0: all (default: 40)", "K", 0,
              1 << 24);
  options.add("--top-p", values.top_p,
              "only the most likely tokens of this total probability (default: 0.95)", "X", 0.0, 1.0);
  options.add("--min-p", values.min_p,
              "only tokens of this share of the best one's probability (default: 0.05)", "X", 0.0, 1.0);
  options.add("-s,--seed", values.seed, seed, "N", std::int64_t{-1}, std::int64_t{UINT32_MAX} - 1);
}

}  // namespace chunkkv::cli
