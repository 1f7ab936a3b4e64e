#pragma once

#include <chunkkv/session.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::eval {

/// Every method with every budget; a method that keeps everything once, before the others. Nothing twice.
/// UsageError names what is allowed.
std::vector<Plan> make_pairs(std::span<const std::string> methods, std::span<const std::string> keeps);

/// "chunkkv at 10%".
std::string to_string(const Plan& pair);

/// Why `plan` cannot choose among `n_tokens`, as when its window is larger than its budget; empty when it
/// can.
std::string why_not(const Plan& plan, std::int32_t n_tokens, std::int32_t n_layer);

/// Which samples are this process's, where several share the work.
struct Shard {
  std::size_t index = 0;  ///< 0 .. count - 1
  std::size_t count = 1;

  /// "2/8" is the second of eight; UsageError otherwise.
  static Shard parse(std::string_view text);
  bool has(std::size_t sample) const { return sample % count == index; }
};

}  // namespace chunkkv::eval
