#pragma once

#include <chunkkv/session.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::eval {

/// Combines every method with every budget, each pair once; a method that keeps everything is one pair, put
/// first. Windows shrink where a prompt's budget is too small for them. UsageError names what is allowed.
std::vector<Plan> make_pairs(std::span<const std::string> methods, std::span<const std::string> keeps);

/// "chunkkv at 10%".
std::string to_string(const Plan& pair);

/// The samples that this process works on, where several processes share the work.
struct Shard {
  std::size_t index = 0;  ///< 0 .. count - 1
  std::size_t count = 1;

  /// Parses "2/8", the second of eight. UsageError for a text of another form.
  static Shard parse(std::string_view text);
  bool has(std::size_t sample) const { return sample % count == index; }
};

}  // namespace chunkkv::eval
