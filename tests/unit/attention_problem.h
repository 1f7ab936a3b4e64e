#pragma once

#include "kernels/aligned_block.h"
#include "kernels/attention.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace chunkkv::kernels {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::uint16_t kOpenCell = 0, kHiddenCell = 0xfc00;

/// The bits of `x` in F16, rounded to nearest but for ties. The reference reads the same bits as the kernels.
inline std::uint16_t half_bits(float x) {
  if (std::isnan(x)) return 0x7e00;
  const auto sign = std::uint16_t(std::signbit(x) ? 0x8000 : 0);
  const float magnitude = std::fabs(x);
  if (magnitude >= 65520) return std::uint16_t(sign | 0x7c00);
  if (magnitude < 0x1p-14f) return std::uint16_t(sign | std::uint16_t(std::lround(magnitude * 0x1p24f)));
  int exponent = 0;
  const float fraction = std::frexp(magnitude, &exponent);
  return std::uint16_t(sign | ((exponent + 13) * 1024 + std::lround(fraction * 2048)));
}

/// The values of all F16 numbers, by their bits.
inline const double* half_values() {
  static const std::vector<double> values = [] {
    std::vector<double> all(0x10000);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const int exponent = int(i >> 10 & 31), fraction = int(i & 1023);
      double x = std::ldexp(exponent == 0 ? fraction : 1024 + fraction, std::max(exponent, 1) - 25);
      if (exponent == 31) x = fraction == 0 ? double(kInfinity) : std::nan("");
      all[i] = (i & 0x8000) != 0 ? -x : x;
    }
    return all;
  }();
  return values.data();
}
inline double half_value(std::uint16_t bits) {
  return half_values()[bits];
}

/// Calls `work` on each of `n_threads` threads, with memory of the thread's own and one counter for all.
inline void on_threads(int n_threads, std::size_t bytes,
                       const std::function<void(char*, std::atomic<std::int64_t>&)>& work) {
  std::atomic<std::int64_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < n_threads; ++i)
    threads.emplace_back([&] {
      const AlignedBlock own(bytes);
      std::memset(own.get(), 0xff, bytes);  // what is read before it is written is NaN
      work(own.get(), next);
    });
  for (std::thread& t : threads) t.join();
}

struct Shape {
  std::int64_t n_queries, n_cells, n_head, n_head_kv, depth;
};

/// Random input of an attention. Its mask is causal unless it is changed: the last query sees all cells.
struct Problem {
  Shape shape;
  float softcap = 0;
  std::vector<float> q, sinks;
  std::vector<std::uint16_t> k, v, mask;

  Problem(const Shape& s, test::Random& random) : shape(s) {
    const auto normal = [&] { return (random.real() + random.real() + random.real() - 1.5f) * 2; };
    q.resize(std::size_t(s.n_queries * s.n_head * s.depth));
    k.resize(std::size_t(s.n_cells * s.n_head_kv * s.depth));
    v.resize(k.size());
    for (float& x : q) x = 2 * normal();
    for (std::size_t i = 0; i < k.size(); ++i) {
      k[i] = half_bits(normal() + (i % 7 == 0 ? 3.0f : 0.0f));  // with biases, as in some models
      v[i] = half_bits(normal());
    }
    mask.assign(std::size_t(s.n_queries * s.n_cells), kOpenCell);
    for (std::int64_t t = 0; t < s.n_queries; ++t)
      for (std::int64_t c = 0; c < s.n_cells; ++c)
        if (c > t + s.n_cells - s.n_queries) at(t, c) = kHiddenCell;
  }

  /// Lets each query see some cells between two places of its own.
  void scatter(test::Random& random) {
    for (std::int64_t t = 0; t < shape.n_queries; ++t) {
      const std::int64_t begin = random.integer(0, int(shape.n_cells) - 1);
      const std::int64_t end = random.integer(int(begin), int(shape.n_cells));
      for (std::int64_t c = 0; c < shape.n_cells; ++c)
        at(t, c) = c >= begin && c < end && random.integer(0, 3) != 0 ? kOpenCell : kHiddenCell;
    }
  }

  std::uint16_t& at(std::int64_t t, std::int64_t c) { return mask[std::size_t(t * shape.n_cells + c)]; }
  bool sees(std::int64_t t, std::int64_t c) const {
    return mask[std::size_t(t * shape.n_cells + c)] == kOpenCell;
  }
  float scale() const { return 1 / std::sqrt(float(shape.depth)); }
  std::size_t row(std::int64_t c, std::int64_t head) const {
    return std::size_t((c * shape.n_head_kv + head / (shape.n_head / shape.n_head_kv)) * shape.depth);
  }
  std::size_t query(std::int64_t t, std::int64_t head) const {
    return std::size_t((head * shape.n_queries + t) * shape.depth);
  }
  std::size_t output(std::int64_t t, std::int64_t head) const {
    return std::size_t((t * shape.n_head + head) * shape.depth);
  }

  /// The attention of `count` queries from `first` on. The caller sets which cells they see.
  AttentionTask task(std::int64_t first, std::int64_t count, std::vector<float>& out) const {
    const auto depth_bytes = std::size_t(shape.depth) * sizeof(float);
    AttentionTask task;
    task.n_queries = count, task.n_cells = shape.n_cells;
    task.n_head = shape.n_head, task.n_head_kv = shape.n_head_kv;
    task.depth = shape.depth, task.scale = scale(), task.softcap = softcap;
    task.q = reinterpret_cast<const char*>(q.data() + query(first, 0));
    task.q_query = depth_bytes, task.q_head = std::size_t(shape.n_queries) * depth_bytes;
    task.k = reinterpret_cast<const char*>(k.data()), task.v = reinterpret_cast<const char*>(v.data());
    task.k_cell = task.v_cell = depth_bytes / 2 * std::size_t(shape.n_head_kv);
    task.k_head = task.v_head = depth_bytes / 2;
    task.sinks = sinks.empty() ? nullptr : sinks.data();
    task.out = reinterpret_cast<char*>(out.data());
    task.out_query = depth_bytes * std::size_t(shape.n_head), task.out_head = depth_bytes;
    return task;
  }

  /// Computes the output rows of `count` queries from `first` on, [query][head][depth], with `n_threads`
  /// threads. `sums` gets the attention, [head][cell], of every `stride`-th of them from `first_sum` on.
  std::vector<float> run(const AttentionKernel& kernel, int n_threads = 1, std::int64_t first = 0,
                         std::int64_t count = -1, std::vector<float>* sums = nullptr,
                         std::int64_t first_sum = 0, std::int64_t stride = 1) const {
    if (count < 0) count = shape.n_queries;
    VisibleCells visible;
    EXPECT_TRUE(visible.read(reinterpret_cast<const char*>(mask.data() + first * shape.n_cells), count,
                             shape.n_cells, std::size_t(shape.n_cells) * 2));
    std::vector<float> out(std::size_t(count * shape.n_head * shape.depth), -7.0f);
    AttentionTask task = this->task(first, count, out);
    task.visible = visible.words.data(), task.seen_by_any = visible.seen_by_any.data();
    std::vector<float> statistics(std::size_t(2 * count * shape.n_head));
    task.statistics = sums == nullptr ? nullptr : statistics.data();
    on_threads(n_threads, kernel.thread_bytes(task, n_threads),
               [&](char* own, std::atomic<std::int64_t>& next) { kernel.run(task, n_threads, own, next); });
    if (sums == nullptr) return out;
    const std::vector<float> with_values = statistics;
    task.out = nullptr;  // computes the statistics only
    on_threads(n_threads, kernel.thread_bytes(task, n_threads),
               [&](char* own, std::atomic<std::int64_t>& next) { kernel.run(task, n_threads, own, next); });
    EXPECT_EQ(statistics, with_values);
    sums->assign(std::size_t(shape.n_head * shape.n_cells), -7.0f);
    on_threads(n_threads, kernel.thread_bytes(task, n_threads),
               [&](char* own, std::atomic<std::int64_t>& next) {
                 kernel.sums(task, {first_sum, (count - first_sum + stride - 1) / stride, stride}, n_threads,
                             own, next, sums->data());
               });
    return out;
  }

  /// The attention weights of query `t` of one head over all cells, in double precision.
  std::vector<double> weights(std::int64_t t, std::int64_t head) const {
    std::vector<double> result(std::size_t(shape.n_cells), -double(kInfinity));
    const float* own = q.data() + query(t, head);
    const double* value_of = half_values();
    const double sink = sinks.empty() ? -double(kInfinity) : double(sinks[std::size_t(head)]);
    double most = sink;
    for (std::int64_t c = 0; c < shape.n_cells; ++c) {
      if (!sees(t, c)) continue;
      const std::uint16_t* key = k.data() + row(c, head);
      double sum = 0;
      for (std::int64_t d = 0; d < shape.depth; ++d) sum += double(own[d]) * value_of[key[d]];
      sum *= double(scale());
      if (softcap != 0) sum = double(softcap) * std::tanh(sum / double(softcap));
      result[std::size_t(c)] = sum;
      most = std::max(most, sum);
    }
    double total = sinks.empty() ? 0 : std::exp(sink - most);
    for (double& x : result) x = x == -double(kInfinity) ? 0 : std::exp(x - most);
    for (const double x : result) total += x;
    for (double& x : result) x = total > 0 ? x / total : 0;
    return result;
  }

  /// The attention that cells receive from every `stride`-th query from `first` on, [head][cell], in double
  /// precision.
  std::vector<double> sums(std::int64_t first = 0, std::int64_t stride = 1) const {
    std::vector<double> result(std::size_t(shape.n_head * shape.n_cells), 0.0);
    for (std::int64_t head = 0; head < shape.n_head; ++head)
      for (std::int64_t t = first; t < shape.n_queries; t += stride) {
        const auto weight = weights(t, head);
        for (std::size_t c = 0; c < weight.size(); ++c)
          result[std::size_t(head) * weight.size() + c] += weight[c];
      }
    return result;
  }

  /// The output row of query `t` of one head, in double precision.
  std::vector<double> truth(std::int64_t t, std::int64_t head) const {
    const auto weight = weights(t, head);
    std::vector<double> result(std::size_t(shape.depth), 0.0);
    double* sums = result.data();
    const double* value_of = half_values();
    for (std::int64_t c = 0; c < shape.n_cells; ++c) {
      if (!sees(t, c)) continue;
      const std::uint16_t* values = v.data() + row(c, head);
      const double w = weight[std::size_t(c)];
      for (std::int64_t d = 0; d < shape.depth; ++d) sums[d] += w * value_of[values[d]];
    }
    return result;
  }

  /// The error of `out` relative to the size of its rows: over all rows, or at most 60 evenly spaced ones.
  double error(const std::vector<float>& out) const {
    double difference = 0, size = 0;
    const std::int64_t rows = shape.n_queries * shape.n_head;
    for (std::int64_t i = 0; i < rows; i += 1 + rows / 60) {
      const std::int64_t t = i / shape.n_head, head = i % shape.n_head;
      const auto row = truth(t, head);
      for (std::int64_t d = 0; d < shape.depth; ++d) {
        const double x = double(out[output(t, head) + std::size_t(d)]);
        difference += std::pow(x - row[std::size_t(d)], 2);
        size += std::pow(row[std::size_t(d)], 2);
        if (std::isnan(x)) return x;
      }
    }
    return std::sqrt(difference / size);
  }
};

/// The size of `numbers` - `truth` relative to that of `truth`.
template <class Numbers>
double relative_error(const Numbers& numbers, const std::vector<double>& truth) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    difference += std::pow(double(numbers[i]) - truth[i], 2);
    size += std::pow(truth[i], 2);
  }
  return std::sqrt(difference / size);
}

/// The letters and digits of a kernel's name, to be the name of a test.
template <class Kernel>
std::string kernel_name(const testing::TestParamInfo<Kernel>& info) {
  std::string name = info.param.name;
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
}

}  // namespace chunkkv::kernels
