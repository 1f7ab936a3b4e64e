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

  /// Keeps `share` of the tokens. UsageError unless 0 < `share` <= 1.
  static Budget fraction(double share);
  /// Keeps `count` tokens. UsageError when `count` is less than 1.
  static Budget tokens(std::int64_t count);
  /// Parses "10%", "0.1" and "1.0" as shares, "512" as a number of tokens. UsageError, which says what is
  /// allowed, for any other text.
  static Budget parse(std::string_view text);

  /// Returns how many of `n_tokens` tokens to keep: floor(n_tokens * share), but at least 1; or the number
  /// asked for, at most `n_tokens`. UsageError when `n_tokens` is less than 1.
  std::int32_t resolve(std::int32_t n_tokens) const;

  bool is_fraction() const { return tokens_ == 0; }

  /// The share asked for, or count / n_tokens (at most 1).
  double share(std::int32_t n_tokens) const;

  /// Canonical text, which parses back to the same budget: "10%" or "512".
  std::string to_string() const;

  bool operator==(const Budget&) const = default;

 private:
  double fraction_ = 1.0;
  std::int64_t tokens_ = 0;  // 0: the budget is `fraction_`
};

}  // namespace chunkkv
