#pragma once

#include "tasks/haystack.h"
#include "tasks/random.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// What is hidden in a haystack, and what is asked about it.
struct NeedleCase {
  std::vector<Needle> needles;
  Question question;
};

/// One kind of needle test.
struct NeedleVariant {
  std::string name;
  std::int32_t max_new_tokens;
  /// Makes `n` needles (always one for "single"), the first of them, or the one asked for, at `depth`.
  NeedleCase (*make)(double depth, std::int32_t n, Random& random);
};

std::span<const NeedleVariant> needle_variants();

/// A thing (the key) and a number on it (the value), which only the needle tells.
struct KeyValue {
  std::string key, value;

  std::string sentence() const;
  Question question() const;
};

/// `n` pairs, at most kMaxKeys, all with different keys and different values.
std::vector<KeyValue> random_pairs(std::int32_t n, Random& random);
inline constexpr std::int32_t kMaxKeys = 1024;

/// The prompt lengths to test, in tokens, each once. UsageError for an option out of its range.
std::vector<std::int32_t> needle_lengths(const Options& options);
/// The depths to test, 0..1, each once. UsageError for a depth out of range.
std::vector<double> needle_depths(const NeedleOptions& options);

/// Tokens left for the haystack in a prompt of `length` tokens that also holds the text `others`. It is made
/// of `n_parts` parts, each of which may take one more token where it meets its neighbours. UsageError when
/// fewer than 16 tokens are left.
std::size_t haystack_tokens(std::int32_t length, const std::string& others, std::size_t n_parts,
                            const Tokenizer& tokenizer);

}  // namespace chunkkv::eval
