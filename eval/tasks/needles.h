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
  /// `n` needles, the first of them (or the one that is asked for) at `depth`.
  NeedleCase (*make)(double depth, std::int32_t n, Random& random);
};

std::span<const NeedleVariant> needle_variants();

/// Something with a number that stands nowhere else.
struct KeyValue {
  std::string key, value;

  std::string sentence() const;
  Question question() const;
};

/// With different keys and values. At most kMaxKeys.
std::vector<KeyValue> random_pairs(std::int32_t n, Random& random);
inline constexpr std::int32_t kMaxKeys = 1024;

}  // namespace chunkkv::eval
