#pragma once

#include "tasks/haystack.h"
#include "tasks/random.h"

#include <cstdint>
#include <functional>
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

}  // namespace chunkkv::eval
