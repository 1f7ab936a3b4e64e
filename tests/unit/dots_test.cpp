#include "kernels/dots.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace chunkkv::kernels {
namespace {

/// The F16 bits of `eighths` / 8, which F16 holds exactly.
std::uint16_t half_bits(int eighths) {
  if (eighths == 0) return 0;
  const auto bits = std::bit_cast<std::uint32_t>(float(eighths) / 8);
  const std::uint32_t exponent = (bits >> 23 & 0xffu) - 127 + 15;
  return std::uint16_t(bits >> 31 << 15 | exponent << 10 | (bits >> 13 & 0x3ffu));
}

/// The greatest of the logits of a KV head's heads, `logits` [heads][queries][cells]; minus infinity in cells
/// that are not of the past.
std::vector<float> greatest(const std::vector<float>& logits, std::int64_t heads, std::int64_t kv_heads,
                            const std::vector<std::uint8_t>& past) {
  const std::size_t n = logits.size() / std::size_t(heads);
  std::vector<float> result(n * std::size_t(kv_heads), -INFINITY);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    float& top = result[i / n / std::size_t(heads / kv_heads) * n + i % n];
    if (past[i % past.size()] != 0) top = std::max(top, logits[i]);
  }
  return result;
}

TEST(FastDots, EqualTheSumsWhateverTheShape) {
  if (!has_fast_dots()) return;  // on other processors ggml computes
  test::Random random;
  for (const auto& [cells, queries, heads, kv_heads, depth] : std::vector<std::array<std::int64_t, 5>>{
           {256, 32, 9, 3, 64}, {1, 1, 1, 1, 16}, {45, 7, 4, 2, 32}, {33, 17, 2, 2, 512}, {31, 8, 6, 1, 128}})
    for (const bool half : {true, false})
      for (const int n_threads : {1, 3}) {
        // The rows of a cell's KV heads lie side by side, as in the cache.
        const std::int64_t stride = kv_heads * depth;
        std::vector<std::uint16_t> k16(std::size_t(cells * stride));
        std::vector<float> k32(k16.size()), q(std::size_t(queries * heads * depth));
        for (std::size_t i = 0; i < k16.size(); ++i) {
          const int eighths = random.integer(-16, 16);
          k16[i] = half_bits(eighths);
          k32[i] = float(eighths) / 8;
        }
        for (float& x : q) x = float(random.integer(-16, 16)) / 8;  // sums are exact in F32
        std::vector<float> out(std::size_t(heads * queries * cells), NAN);
        const std::size_t number = half ? 2 : 4;
        DotsTask task{
            .n_cells = cells,
            .n_queries = queries,
            .n_head = heads,
            .n_head_kv = kv_heads,
            .depth = depth,
            .k = half ? reinterpret_cast<const char*>(k16.data()) : reinterpret_cast<const char*>(k32.data()),
            .k_head = std::size_t(depth) * number,
            .k_cell = std::size_t(stride) * number,
            .k_half = half,
            .q = reinterpret_cast<const char*>(q.data()),
            .q_head = std::size_t(depth) * sizeof(float),
            .q_query = std::size_t(heads * depth) * sizeof(float),
            .out = out.data()};
        for (int t = 0; t < n_threads; ++t) dots(task, t, n_threads);
        for (std::int64_t h = 0; h < heads; ++h)
          for (std::int64_t i = 0; i < queries; ++i)
            for (std::int64_t c = 0; c < cells; ++c) {
              float sum = 0;
              for (std::int64_t d = 0; d < depth; ++d)
                sum += q[std::size_t((i * heads + h) * depth + d)] *
                       k32[std::size_t(c * stride + h / (heads / kv_heads) * depth + d)];
              ASSERT_EQ(out[std::size_t((h * queries + i) * cells + c)], sum)
                  << "head " << h << ", query " << i << ", cell " << c << " of " << cells;
            }

        std::vector<std::uint8_t> past(std::size_t(cells), 0);
        for (std::uint8_t& flag : past) flag = random.integer(0, 2) > 0;
        std::vector<float> top(std::size_t(kv_heads * queries * cells), NAN);
        task.past = past.data();
        task.out = top.data();
        for (int t = 0; t < n_threads; ++t) dots(task, t, n_threads);
        ASSERT_EQ(top, greatest(out, heads, kv_heads, past)) << heads << " heads, " << cells << " cells";
      }
}

}  // namespace
}  // namespace chunkkv::kernels
