#include "kernels/attention.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace chunkkv::kernels {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr std::uint16_t open_cell = 0, hidden_cell = 0xfc00;

/// Numbers that F16 holds, as bits: to nearest but for ties, so that the reference reads what the kernels
/// read.
std::uint16_t half_bits(float x) {
  if (std::isnan(x)) return 0x7e00;
  const auto sign = std::uint16_t(std::signbit(x) ? 0x8000 : 0);
  const float magnitude = std::fabs(x);
  if (magnitude >= 65520) return std::uint16_t(sign | 0x7c00);
  if (magnitude < 0x1p-14f) return std::uint16_t(sign | std::uint16_t(std::lround(magnitude * 0x1p24f)));
  int exponent = 0;
  const float fraction = std::frexp(magnitude, &exponent);
  return std::uint16_t(sign | ((exponent + 13) * 1024 + std::lround(fraction * 2048)));
}

double half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double x = std::ldexp(exponent == 0 ? fraction : 1024 + fraction, std::max(exponent, 1) - 25);
  if (exponent == 31) x = fraction == 0 ? double(infinity) : std::nan("");
  return (bits & 0x8000) != 0 ? -x : x;
}

/// Calls `work` on threads with memory of their own.
void on_threads(int n_threads, std::size_t bytes,
                const std::function<void(char*, std::atomic<std::int64_t>&)>& work) {
  std::atomic<std::int64_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < n_threads; ++i)
    threads.emplace_back([&] {
      const std::unique_ptr<char, void (*)(void*)> own(
          static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), std::free);
      std::memset(own.get(), 0xff, bytes);  // what is not written is not a number
      work(own.get(), next);
    });
  for (std::thread& t : threads) t.join();
}

struct Shape {
  std::int64_t n_queries, n_cells, n_head, n_head_kv, depth;
};

/// An attention with random numbers, causal unless changed: the last query sees the last cell.
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
      k[i] = half_bits(normal() + (i % 7 == 0 ? 3.0f : 0.0f));  // with biases, as some models' have
      v[i] = half_bits(normal());
    }
    mask.assign(std::size_t(s.n_queries * s.n_cells), open_cell);
    for (std::int64_t t = 0; t < s.n_queries; ++t)
      for (std::int64_t c = 0; c < s.n_cells; ++c)
        if (c > t + s.n_cells - s.n_queries) at(t, c) = hidden_cell;
  }

  std::uint16_t& at(std::int64_t t, std::int64_t c) { return mask[std::size_t(t * shape.n_cells + c)]; }
  bool sees(std::int64_t t, std::int64_t c) const {
    return mask[std::size_t(t * shape.n_cells + c)] == open_cell;
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

  /// The rows of `count` queries from `first` on, [query][head][depth], by `n_threads` threads. `sums` gets
  /// what every `stride`-th pays to the cells from `first_sum` on, [head][cell].
  std::vector<float> run(const AttentionKernel& kernel, int n_threads = 1, std::int64_t first = 0,
                         std::int64_t count = -1, std::vector<float>* sums = nullptr,
                         std::int64_t first_sum = 0, std::int64_t stride = 1) const {
    if (count < 0) count = shape.n_queries;
    VisibleCells visible;
    EXPECT_TRUE(visible.read(reinterpret_cast<const char*>(mask.data() + first * shape.n_cells), count,
                             shape.n_cells, std::size_t(shape.n_cells) * 2));
    std::vector<float> out(std::size_t(count * shape.n_head * shape.depth), -7.0f);
    const auto depth = std::size_t(shape.depth);
    AttentionTask task;
    task.n_queries = count, task.n_cells = shape.n_cells;
    task.n_head = shape.n_head, task.n_head_kv = shape.n_head_kv;
    task.depth = shape.depth, task.scale = scale(), task.softcap = softcap;
    task.q = reinterpret_cast<const char*>(q.data() + query(first, 0));
    task.q_query = depth * 4, task.q_head = std::size_t(shape.n_queries) * depth * 4;
    task.k = reinterpret_cast<const char*>(k.data()), task.v = reinterpret_cast<const char*>(v.data());
    task.k_cell = task.v_cell = depth * std::size_t(shape.n_head_kv) * 2;
    task.k_head = task.v_head = depth * 2;
    task.sinks = sinks.empty() ? nullptr : sinks.data();
    task.visible = visible.words.data(), task.by_any = visible.by_any.data();
    task.out = reinterpret_cast<char*>(out.data());
    task.out_query = depth * std::size_t(shape.n_head) * 4, task.out_head = depth * 4;
    std::vector<float> statistics(std::size_t(2 * count * shape.n_head));
    task.statistics = sums == nullptr ? nullptr : statistics.data();
    on_threads(n_threads, kernel.thread_bytes(task, n_threads),
               [&](char* own, std::atomic<std::int64_t>& next) { kernel.run(task, n_threads, own, next); });
    if (sums == nullptr) return out;
    const std::vector<float> with_values = statistics;
    task.out = nullptr;  // the same without values
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

  /// What a query of one head pays to each cell, in double precision.
  std::vector<double> weights(std::int64_t t, std::int64_t head) const {
    std::vector<double> result(std::size_t(shape.n_cells), -double(infinity));
    const double sink = sinks.empty() ? -double(infinity) : double(sinks[std::size_t(head)]);
    double most = sink;
    for (std::int64_t c = 0; c < shape.n_cells; ++c) {
      if (!sees(t, c)) continue;
      double sum = 0;
      for (std::int64_t d = 0; d < shape.depth; ++d)
        sum += double(q[query(t, head) + std::size_t(d)]) * half_value(k[row(c, head) + std::size_t(d)]);
      sum *= double(scale());
      if (softcap != 0) sum = double(softcap) * std::tanh(sum / double(softcap));
      result[std::size_t(c)] = sum;
      most = std::max(most, sum);
    }
    double total = sinks.empty() ? 0 : std::exp(sink - most);
    for (double& x : result) x = x == -double(infinity) ? 0 : std::exp(x - most);
    for (const double x : result) total += x;
    for (double& x : result) x = total > 0 ? x / total : 0;
    return result;
  }

  /// A query's row of one head.
  std::vector<double> truth(std::int64_t t, std::int64_t head) const {
    const auto weight = weights(t, head);
    std::vector<double> result(std::size_t(shape.depth), 0.0);
    for (std::int64_t c = 0; c < shape.n_cells; ++c)
      for (std::int64_t d = 0; sees(t, c) && d < shape.depth; ++d)
        result[std::size_t(d)] += weight[std::size_t(c)] * half_value(v[row(c, head) + std::size_t(d)]);
    return result;
  }

  /// The error over some rows (all of few, else every so many), relative to their size.
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

/// Every kernel that the processor has, and the sources of all of them on emulated vectors and tiles.
std::vector<AttentionKernel> all_kernels() {
  std::vector<AttentionKernel> result = attention_kernels();
  const auto& emulated = emulated_attention_kernels();
  result.insert(result.end(), emulated.begin(), emulated.end());
  return result;
}

bool rounds(const AttentionKernel& kernel) {
  return std::string(kernel.name).find("16") != std::string::npos;
}
/// More than what any of 40 seeds gave, 7e-3; BF16 is the coarsest.
double tolerance(const AttentionKernel& kernel) {
  return rounds(kernel) ? 1.2e-2 : 3e-6;
}

class FastAttention : public testing::TestWithParam<AttentionKernel> {
 protected:
  test::Random random_;
};

TEST_P(FastAttention, EqualsDoublePrecisionWhateverTheShape) {
  for (const Shape& s : std::vector<Shape>{{1, 31, 9, 3, 64},
                                           {64, 64, 3, 1, 64},
                                           {65, 100, 9, 3, 64},
                                           {77, 257, 4, 4, 64},
                                           {32, 333, 8, 1, 80},
                                           {33, 260, 2, 2, 96},
                                           {90, 1025, 7, 1, 64},
                                           {40, 600, 4, 1, 128},
                                           {34, 300, 3, 3, 256},
                                           {50, 120, 5, 1, 16}}) {
    const Problem problem(s, random_);
    EXPECT_LT(problem.error(problem.run(GetParam())), tolerance(GetParam()))
        << s.n_queries << " queries, " << s.n_cells << " cells, " << s.n_head << "/" << s.n_head_kv
        << " heads of " << s.depth;
  }
}

TEST_P(FastAttention, FollowsTheMask) {
  Problem interleaved({70, 300, 6, 2, 64}, random_), sparse = interleaved, windows = interleaved;
  for (std::int64_t t = 0; t < 70; ++t)
    for (std::int64_t c = 0; c < 300; ++c) {
      if (c % 3 != t % 3) interleaved.at(t, c) = hidden_cell;  // cells of other sequences
      if (random_.integer(0, 3) == 0) sparse.at(t, c) = hidden_cell;
      if (c < t + 230 - 40) windows.at(t, c) = hidden_cell;
    }
  for (std::int64_t c = 0; c < 300; ++c) sparse.at(8, c) = hidden_cell;  // sees nothing
  for (const Problem* problem : {&interleaved, &sparse, &windows})
    EXPECT_LT(problem->error(problem->run(GetParam())), tolerance(GetParam()));
  const auto out = sparse.run(GetParam());
  for (std::int64_t i = 0; i < 6 * 64; ++i) EXPECT_EQ(out[std::size_t(8 * 6 * 64 + i)], 0.0f);
}

TEST_P(FastAttention, SumsWhatCellsArePaid) {
  Problem problem({50, 290, 4, 2, 64}, random_), ninety({70, 100, 3, 1, 96}, random_);
  for (std::int64_t t = 0; t < 50; ++t)
    for (std::int64_t c = 0; c < 290; ++c)
      if (random_.integer(0, 5) == 0 || t == 9) problem.at(t, c) = hidden_cell;
  problem.sinks = {-1.0f, 0.0f, 3.0f, 1.0f};
  ninety.softcap = 8;
  struct Case {
    const Problem* p;
    std::int64_t first, stride;
  };
  for (const auto& [p, first, stride] : {Case{&problem, 0, 1}, Case{&problem, 18, 1}, Case{&ninety, 0, 1},
                                         Case{&ninety, 69, 1}, Case{&problem, 2, 16}, Case{&ninety, 1, 3}}) {
    std::vector<float> sums, again;
    EXPECT_EQ(p->run(GetParam(), 1, 0, -1, &sums, first, stride), p->run(GetParam()));
    p->run(GetParam(), 3, 0, -1, &again, first, stride);
    EXPECT_EQ(again, sums);
    double difference = 0, size = 0;
    for (std::int64_t head = 0; head < p->shape.n_head; ++head) {
      std::vector<double> truth(std::size_t(p->shape.n_cells), 0.0);
      for (std::int64_t t = first; t < p->shape.n_queries; t += stride) {
        const auto weights = p->weights(t, head);
        for (std::size_t c = 0; c < truth.size(); ++c) truth[c] += weights[c];
      }
      for (std::size_t c = 0; c < truth.size(); ++c) {
        difference += std::pow(double(sums[std::size_t(head) * truth.size() + c]) - truth[c], 2);
        size += std::pow(truth[c], 2);
      }
    }
    EXPECT_LT(std::sqrt(difference / size), tolerance(GetParam()));
  }
}

TEST_P(FastAttention, KnowsSoftCapsAndSinks) {
  Problem capped({40, 200, 4, 2, 64}, random_), sunk = capped;
  capped.softcap = 5;
  sunk.sinks = {-1.0f, 0.0f, 3.0f, 40.0f};
  EXPECT_LT(capped.error(capped.run(GetParam())), tolerance(GetParam()));
  EXPECT_LT(sunk.error(sunk.run(GetParam())), tolerance(GetParam()));
  capped.sinks = {2.0f, 2.0f, -3.0f, 1.0f};
  EXPECT_LT(capped.error(capped.run(GetParam())), tolerance(GetParam()));
}

TEST_P(FastAttention, RowsDependNeitherOnTheBatchNorOnTheThreads) {
  const Problem problem({120, 220, 4, 2, 64}, random_);
  const auto whole = problem.run(GetParam());
  for (const int n_threads : {2, 8}) EXPECT_EQ(problem.run(GetParam(), n_threads), whole) << n_threads;
  const std::int64_t row = 4 * 64;
  for (const auto& [first, count] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 77}, {77, 43}, {45, 32}}) {
    const auto part = problem.run(GetParam(), 2, first, count);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * row))
        << count << " queries from " << first;
  }
}

TEST_P(FastAttention, LargeLogitsNeedNoCare) {
  // Biases of keys as large as Qwen's: they are the same for all cells, and the soft max does not see them.
  Problem problem({64, 300, 2, 1, 64}, random_);
  for (std::int64_t c = 0; c < 300; ++c)
    for (const std::int64_t d : {3, 17, 40})
      problem.k[std::size_t(c * 64 + d)] =
          half_bits(float(half_value(problem.k[std::size_t(c * 64 + d)])) + 400);
  for (float& x : problem.q) x = x + 4;
  EXPECT_LT(problem.error(problem.run(GetParam())), rounds(GetParam()) ? 8e-2 : 3e-4);
}

TEST_P(FastAttention, BadNumbersStayWhereTheyAre) {
  const Problem good({64, 200, 4, 2, 64}, random_);
  const auto before = good.run(GetParam());
  // A query that is not a number: its own row of its own head.
  Problem bad_query = good;
  bad_query.q[good.query(20, 1) + 5] = std::nanf("");
  const auto with_query = bad_query.run(GetParam());
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::size_t row = i / 64;
    if (row == 20 * 4 + 1)
      EXPECT_TRUE(std::isnan(with_query[i]));
    else
      ASSERT_EQ(with_query[i], before[i]) << "row " << row;
  }
  // Cells that no query sees may hold anything: it is left from before.
  Problem stale = good, clean = good;
  for (const std::int64_t c : {5, 64, 100})
    for (std::int64_t t = 0; t < 64; ++t) stale.at(t, c) = clean.at(t, c) = hidden_cell;
  for (std::size_t i = 0; i < 128; ++i) {
    const std::uint16_t anything[3] = {half_bits(std::nanf("")), half_bits(infinity), half_bits(-infinity)};
    for (int j = 0; j < 3; ++j) {
      stale.k[std::size_t(std::array{5, 64, 100}[std::size_t(j)]) * 128 + i] = anything[j];
      stale.v[std::size_t(std::array{5, 64, 100}[std::size_t(j)]) * 128 + i] = anything[(j + 1) % 3];
    }
  }
  EXPECT_LT(stale.error(stale.run(GetParam())), tolerance(GetParam()));
  // Keys that queries see: those that do not see them are as they were.
  Problem broken = good;
  broken.k[good.row(150, 0) + 3] = half_bits(std::nanf(""));
  const auto with_key = broken.run(GetParam());
  for (std::int64_t t = 0; t < 64; ++t)
    for (std::int64_t d = 0; d < 64; ++d) {
      const std::size_t i = good.output(t, 0) + std::size_t(d);
      if (good.sees(t, 150))
        EXPECT_TRUE(std::isnan(with_key[i]));
      else
        ASSERT_EQ(with_key[i], before[i]);
    }
}

TEST_P(FastAttention, LargestNumbersDoNotOverflow) {
  Problem problem({32, 128, 1, 1, 64}, random_);
  for (std::uint16_t& x : problem.v) x = half_bits(60000);
  for (float& x : problem.q) x = 0;  // all weights alike
  const auto out = problem.run(GetParam());
  for (const float x : out) ASSERT_NEAR(x, 60000, 60000 * tolerance(GetParam()));
  Problem steep({32, 128, 1, 1, 64}, random_);
  for (float& x : steep.q) x *= 300;  // one cell takes all
  for (const float x : steep.run(GetParam())) ASSERT_TRUE(std::isfinite(x));
}

INSTANTIATE_TEST_SUITE_P(, FastAttention, testing::ValuesIn(all_kernels()), [](const auto& info) {
  std::string name = info.param.name;
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
});

TEST(VisibleCells, ReadMasksOfZerosAndMinusInfinityOnly) {
  std::vector<std::uint16_t> mask(2 * 40, hidden_cell);
  mask[0] = mask[33] = mask[40 + 31] = open_cell;
  VisibleCells cells;
  ASSERT_TRUE(cells.read(reinterpret_cast<const char*>(mask.data()), 2, 40, 80));
  EXPECT_EQ(cells.words, (std::vector<std::uint32_t>{1u, 1u << 31, 2u, 0u}));
  EXPECT_EQ(cells.by_any, (std::vector<std::uint32_t>{1u | 1u << 31, 2u}));
  ASSERT_TRUE(cells.read(nullptr, 1, 33, 0));
  EXPECT_EQ(cells.words, (std::vector<std::uint32_t>{0xffffffffu, 1u}));
  for (const std::size_t biased : {std::size_t(7), std::size_t(79)}) {
    auto other = mask;
    other[biased] = half_bits(-0.5f);
    EXPECT_FALSE(cells.read(reinterpret_cast<const char*>(other.data()), 2, 40, 80));
  }
}

}  // namespace
}  // namespace chunkkv::kernels
