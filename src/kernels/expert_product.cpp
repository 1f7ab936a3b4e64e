#include "kernels/expert_product.h"

#include "kernels/memory_parts.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>

namespace chunkkv::kernels {
namespace {

/// The most rows of an expert that are multiplied together: weights are unpacked anew for more.
constexpr std::int64_t kMostRows = 256;
constexpr std::int64_t kItemsOfThread = 4;  // at least, so that threads end at about the same time

/// The rows of each expert, which all threads read.
struct Rows {
  std::int32_t* begins;  ///< [n_experts + 1]: where the rows of each expert begin in `rows`
  std::int32_t* order;   ///< [n_experts]: experts with rows, those with most rows first
  std::int32_t* rows;    ///< [n_tokens * n_slots]: token * n_slots + slot
  std::int64_t* n_busy;  ///< how many experts have rows
  std::size_t bytes;

  Rows(const ExpertTask& task, char* shared) {
    MemoryParts all{shared};
    begins = all.take_array<std::int32_t>(std::size_t(task.n_experts + 1));
    order = all.take_array<std::int32_t>(std::size_t(task.n_experts));
    rows = all.take_array<std::int32_t>(std::size_t(task.n_tokens * task.n_slots));
    n_busy = all.take_array<std::int64_t>(1);
    bytes = all.bytes;
  }

  std::int64_t count(std::int64_t expert) const { return begins[expert + 1] - begins[expert]; }

  void find(const ExpertTask& task) const {
    const auto each = [&](auto&& act) {
      for (std::int64_t t = 0; t < task.n_tokens; ++t)
        for (std::int64_t s = 0; s < task.n_slots; ++s) {
          std::int32_t expert;
          std::memcpy(&expert,
                      task.experts + task.experts_row * std::size_t(t) + sizeof expert * std::size_t(s),
                      sizeof expert);
          act(expert, std::int32_t(t * task.n_slots + s));
        }
    };
    std::fill_n(begins, task.n_experts + 1, 0);
    each([&](std::int32_t expert, std::int32_t) { ++begins[expert]; });
    std::inclusive_scan(begins, begins + task.n_experts + 1, begins);  // now where each expert's rows end
    each([&](std::int32_t expert, std::int32_t row) { rows[--begins[expert]] = row; });
    std::iota(order, order + task.n_experts, 0);
    std::sort(order, order + task.n_experts, [&](std::int32_t a, std::int32_t b) {
      return count(a) != count(b) ? count(a) > count(b) : a < b;
    });
    *n_busy = std::count_if(order, order + task.n_experts, [&](std::int32_t e) { return count(e) > 0; });
  }
};

/// A thread's rows of one expert, one after the other, and what the kernel needs.
struct Own {
  char *x, *out, *shared, *kernel;
  std::size_t bytes;

  Own(const ProductKernel& of_rows, const ExpertTask& task, char* own) {
    const std::int64_t most = std::min(kMostRows, task.n_tokens * task.n_slots);
    const ProductTask rows{.n_tokens = most, .n_out = task.n_out, .weights = task.weights};
    MemoryParts all{own};
    x = all.take(std::size_t(most * task.weights.depth) * sizeof(float));
    out = all.take(std::size_t(most * task.n_out) * sizeof(float));
    shared = all.take(of_rows.shared_bytes(rows));
    kernel = all.take(of_rows.thread_bytes(rows));
    bytes = all.bytes;
  }
};

/// Multiplies `rows` with the outputs from `first` to `end` of an expert.
void multiply(const ProductKernel& kernel, const ExpertTask& task, std::int64_t expert,
              std::span<const std::int32_t> rows, std::int64_t first, std::int64_t end, const Own& own) {
  const auto place = [&](std::int32_t row) {
    return std::pair(std::size_t(row / task.n_slots), std::size_t(row % task.n_slots));
  };
  const std::size_t x_row = std::size_t(task.weights.depth) * sizeof(float);
  const std::size_t out_row = std::size_t(end - first) * sizeof(float);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto [token, slot] = place(rows[i]);
    std::memcpy(own.x + x_row * i, task.x + task.x_token * token + task.x_slot * slot, x_row);
  }
  ProductTask product{.n_tokens = std::int64_t(rows.size()),
                      .n_out = end - first,
                      .weights = weights_from(task.weights, first),
                      .x = own.x,
                      .x_row = x_row,
                      .out = own.out,
                      .out_row = out_row};
  product.weights.data += task.expert_bytes * std::size_t(expert);
  Team alone;
  kernel.run(product, 0, 1, own.shared, own.kernel, alone);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto [token, slot] = place(rows[i]);
    std::memcpy(task.out + task.out_token * token + task.out_slot * slot + sizeof(float) * std::size_t(first),
                own.out + out_row * i, out_row);
  }
}

}  // namespace

std::size_t shared_bytes(const ProductKernel&, const ExpertTask& task) {
  return Rows(task, nullptr).bytes;
}

std::size_t thread_bytes(const ProductKernel& kernel, const ExpertTask& task) {
  return Own(kernel, task, nullptr).bytes;
}

void run_experts(const ProductKernel& kernel, const ExpertTask& task, int thread, int n_threads, char* shared,
                 char* own_memory, Team& team) {
  const Rows all(task, shared);
  const Own own(kernel, task, own_memory);
  if (thread == 0) all.find(task);
  barrier(team, n_threads);

  // An item is an expert, or some outputs of one where experts are few.
  const std::int64_t panels = task.n_out / kProductOutputs, n_busy = std::max<std::int64_t>(1, *all.n_busy);
  const std::int64_t n_parts = std::clamp<std::int64_t>((kItemsOfThread * n_threads + n_busy - 1) / n_busy, 1,
                                                        n_threads > 1 ? panels : 1);
  for (std::int64_t item; (item = team.next.fetch_add(1)) < *all.n_busy * n_parts;) {
    const std::int64_t expert = all.order[item / n_parts], part = item % n_parts;
    const std::int64_t first = panels * part / n_parts * kProductOutputs;
    const std::int64_t end = panels * (part + 1) / n_parts * kProductOutputs;
    const std::span<const std::int32_t> rows(all.rows + all.begins[expert], std::size_t(all.count(expert)));
    for (std::size_t i = 0; i < rows.size(); i += std::size_t(kMostRows))
      multiply(kernel, task, expert, rows.subspan(i, std::min(std::size_t(kMostRows), rows.size() - i)),
               first, end, own);
  }
}

}  // namespace chunkkv::kernels
