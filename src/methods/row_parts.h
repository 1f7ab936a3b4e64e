#pragma once

#include <chunkkv/observation.h>

#include <cstdint>
#include <functional>
#include <span>

namespace chunkkv {

/// Rows of a part of the entries, [count][n_head_kv][width].
struct RowPart {
  std::int32_t first = 0, count = 0, n_head_kv = 0, width = 0;
  std::span<const float> numbers;

  const float* row(std::int32_t entry, std::int32_t head) const {
    return numbers.data() +
           (std::size_t(entry - first) * std::size_t(n_head_kv) + std::size_t(head)) * std::size_t(width);
  }
};

/// Calls `act` for entries begin .. end - 1 in parts of `length`, in order. Error when the observation lacks
/// the rows.
void for_each_part(const std::shared_ptr<const Rows>& rows, std::int32_t n_head_kv, std::int32_t begin,
                   std::int32_t end, std::int32_t length, const std::function<void(const RowPart&)>& act);

}  // namespace chunkkv
