#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace chunkkv {

/// How much of the cache is kept: a share of the prompt or a number of tokens.
class Budget {
 public:
  /// Keeps everything.
  Budget() = default;

  /// `share` in (0, 1]; UsageError otherwise.
  static Budget fraction(double share);
  /// `count` >= 1; UsageError otherwise.
  static Budget tokens(std::int64_t count);
  /// "10%", "0.1" and "1.0" are shares, "512" is a number of tokens. UsageError says what is allowed.
  static Budget parse(std::string_view text);

  /// The number of tokens to keep of `n_tokens`: floor(n_tokens * share), but at least 1; a number of
  /// tokens is cut to n_tokens. `n_tokens` >= 1.
  std::int32_t resolve(std::int32_t n_tokens) const;

  bool is_fraction() const { return tokens_ == 0; }

  /// The share asked for, or count / n_tokens (at most 1).
  double share(std::int32_t n_tokens) const;

  /// Canonical text, which parses back to the same budget: "10%" or "512".
  std::string to_string() const;

  bool operator==(const Budget&) const = default;

 private:
  double fraction_ = 1.0;
  std::int64_t tokens_ = 0;  // 0: a fraction
};

}  // namespace chunkkv
