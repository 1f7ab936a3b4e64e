#include "methods/row_parts.h"

#include <chunkkv/error.h>

#include <algorithm>
#include <vector>

namespace chunkkv {

void for_each_part(const std::shared_ptr<const Rows>& rows, std::int32_t n_head_kv, std::int32_t begin,
                   std::int32_t end, std::int32_t length, const std::function<void(const RowPart&)>& act) {
  if (!rows) throw Error("the observation lacks the rows that the method asked for");
  const std::int32_t width = rows->width();
  std::vector<float> numbers;
  for (std::int32_t first = begin; first < end; first += length) {
    const std::int32_t count = std::min(length, end - first);
    numbers.resize(std::size_t(count) * std::size_t(n_head_kv) * std::size_t(width));
    rows->read(first, count, numbers);
    act({first, count, n_head_kv, width, numbers});
  }
}

}  // namespace chunkkv
