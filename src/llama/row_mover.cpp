#include "llama/row_mover.h"

#include "llama/kernel_run.h"
#include "llama/nodes.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>

namespace chunkkv::engine {
namespace {

/// Elements first .. first + count - 1 of a list of cells, which are consecutive cells.
struct Run {
  std::size_t first, count;
};

std::vector<Run> runs_of(std::span<const std::int32_t> cells) {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0 && cells[i] == cells[i - 1] + 1)
      ++runs.back().count;
    else
      runs.push_back({i, 1});
  }
  return runs;
}

/// Whether rows can be copied one after the other: they ascend and move down, so that none takes the place of
/// one that is still to be copied.
bool move_down(std::span<const std::int32_t> from, std::span<const std::int32_t> to) {
  for (std::size_t r = 0; r < to.size(); ++r)
    if (from[r] < to[r] || (r > 0 && from[r] <= from[r - 1])) return false;
  return true;
}

/// Moves rows that lie in host memory. The rows of different heads do not overlap: each thread takes those of
/// a head. Where they cannot be copied in turn it gathers them in memory of its own first.
void move_in_memory(Compute& compute, std::span<ggml_tensor* const> tensors,
                    std::span<const std::vector<std::int32_t>> from, std::span<const std::int32_t> to) {
  constexpr std::size_t ahead = 8;  // rows are far apart: the processor is told which come next
  std::vector<std::uint8_t> in_turn;
  for (const auto& sources : from) in_turn.push_back(move_down(sources, to));
  std::size_t gathered_bytes = 0;
  if (!std::ranges::all_of(in_turn, std::identity{}))
    for (const ggml_tensor* rows : tensors)
      gathered_bytes = std::max(gathered_bytes, rows->nb[1] / from.size() * to.size());
  const auto n_items = std::int64_t(tensors.size() * from.size());
  run_kernel(compute, tensors.front(), gathered_bytes, [&](char* gathered, std::atomic<std::int64_t>& next) {
    for (std::int64_t i = 0; (i = next.fetch_add(1)) < n_items;) {
      const ggml_tensor& rows = *tensors[std::size_t(i) / from.size()];
      const std::size_t head = std::size_t(i) % from.size(), bytes = rows.nb[1] / from.size();
      char* const own = static_cast<char*>(rows.data) + head * bytes;
      const auto row = [&](std::int32_t cell) { return own + rows.nb[1] * std::size_t(cell); };
      const auto place = [&](std::size_t r) {
        return in_turn[head] != 0 ? row(to[r]) : gathered + r * bytes;
      };
      const std::vector<std::int32_t>& sources = from[head];
      for (std::size_t r = 0; r < to.size(); ++r) {
        if (r + ahead < to.size()) {
          __builtin_prefetch(row(sources[r + ahead]));
          __builtin_prefetch(place(r + ahead), 1);
        }
        std::memmove(place(r), row(sources[r]), bytes);  // a row may stay where it is
      }
      if (in_turn[head] == 0)
        for (std::size_t r = 0; r < to.size(); ++r) std::memcpy(row(to[r]), place(r), bytes);
    }
  });
}

/// Gathers rows into a temporary and stores them, as 32-bit words, which every backend copies unchanged.
void move_words(Compute& compute, const ggml_tensor* rows, std::size_t head_bytes,
                std::span<const std::vector<std::int32_t>> from, std::span<const std::int32_t> to) {
  const auto heads = std::int64_t(from.size());
  const auto words = std::int64_t(head_bytes / sizeof(std::int32_t));
  const auto count = std::int64_t(to.size());
  const std::vector<Run> runs = runs_of(to);
  std::vector<std::int32_t> index;
  index.reserve(to.size() * from.size());
  for (const auto& list : from) index.insert(index.end(), list.begin(), list.end());

  Graph g(compute.device_of(rows), 16 + 4 * runs.size());
  ggml_tensor* all = g.alias(rows, GGML_TYPE_I32, {words, rows->ne[1], heads, 1},
                             {sizeof(std::int32_t), rows->nb[1], head_bytes, head_bytes * from.size()});
  ggml_tensor* kept = ggml_get_rows(g.ctx(), all, g.input(GGML_TYPE_I32, {count, heads, 1, 1}, index.data()));
  for (const Run& run : runs) {
    ggml_tensor* part = ggml_view_3d(g.ctx(), kept, words, std::int64_t(run.count), heads, kept->nb[1],
                                     kept->nb[2], kept->nb[1] * run.first);
    ggml_tensor* target = g.alias(rows, GGML_TYPE_I32, {words, std::int64_t(run.count), heads, 1},
                                  {sizeof(std::int32_t), rows->nb[1], head_bytes, head_bytes * from.size()},
                                  rows->nb[1] * std::size_t(to[run.first]));
    g.effect(ggml_cpy(g.ctx(), part, target));
  }
  g.run();
}

/// Moves rows whose size is no whole number of words (an 18-byte Q4_0 head) through host memory.
void move_bytes(const ggml_tensor* rows, std::size_t head_bytes,
                std::span<const std::vector<std::int32_t>> from, std::span<const std::int32_t> to) {
  std::vector<std::byte> kept(head_bytes * from.size() * to.size());
  auto* target = const_cast<ggml_tensor*>(rows);
  auto each = [&](auto&& act) {
    for (std::size_t h = 0; h < from.size(); ++h)
      for (std::size_t i = 0; i < to.size(); ++i)
        act(kept.data() + (h * to.size() + i) * head_bytes, h * head_bytes, std::size_t(from[h][i]),
            std::size_t(to[i]));
  };
  each([&](std::byte* row, std::size_t offset, std::size_t source, std::size_t) {
    ggml_backend_tensor_get(rows, row, source * rows->nb[1] + offset, head_bytes);
  });
  each([&](const std::byte* row, std::size_t offset, std::size_t, std::size_t destination) {
    ggml_backend_tensor_set(target, row, destination * rows->nb[1] + offset, head_bytes);
  });
}

}  // namespace

void move_rows(Compute& compute, const CacheLayer& cache, std::span<const std::vector<std::int32_t>> from,
               std::span<const std::int32_t> to) {
  const std::vector<ggml_tensor*> tensors = cache.tensors();
  const auto is_near = [&](const ggml_tensor* t) { return compute.device_of(t).is_cpu && in_host_memory(t); };
  if (std::ranges::all_of(tensors, is_near)) return move_in_memory(compute, tensors, from, to);
  for (const ggml_tensor* rows : tensors) {
    const std::size_t head_bytes = rows->nb[1] / from.size();
    if (head_bytes % sizeof(std::int32_t) == 0)
      move_words(compute, rows, head_bytes, from, to);
    else
      move_bytes(rows, head_bytes, from, to);
  }
}

}  // namespace chunkkv::engine
