// Products with the experts of a mixture: each row is that of a plain product with its expert's weights.
#include "kernels/expert_product.h"

#include "unit/product_run.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <thread>
#include <vector>

namespace chunkkv::kernels {
namespace {

/// Adds up in double precision, by one thread; the others only meet it. For processors without a kernel.
constexpr ProductKernel kSlow = {
    .arithmetic = Arithmetic::words,
    .name = "slow",
    .shared_bytes = [](const ProductTask&) -> std::size_t { return 64; },
    .thread_bytes = [](const ProductTask&) -> std::size_t { return 64; },
    .run =
        [](const ProductTask& task, int thread, int n_threads, char*, char*, Team& team) {
          barrier(team, n_threads);
          for (std::int64_t t = 0; thread == 0 && t < task.n_tokens; ++t)
            for (std::int64_t o = 0; o < task.n_out; ++o) {
              const auto* weight = reinterpret_cast<const float*>(task.weights.data) + o * task.weights.depth;
              const auto* x = reinterpret_cast<const float*>(task.x + task.x_row * std::size_t(t));
              double sum = 0;
              for (std::int64_t k = 0; k < task.weights.depth; ++k) sum += double(weight[k]) * double(x[k]);
              reinterpret_cast<float*>(task.out + task.out_row * std::size_t(t))[o] = float(sum);
            }
        },
};

/// The slow kernel, and those of this processor that read plain F32 rows.
std::vector<const ProductKernel*> kernels_of_plain_rows() {
  std::vector<const ProductKernel*> kernels = {&kSlow};
  for (const ProductKernel* kernel : product_kernels())
    if (kernel->arithmetic != Arithmetic::bytes) kernels.push_back(kernel);
  return kernels;
}

struct Mixture {
  std::int64_t n_tokens, n_slots, n_experts, n_out, depth = 96;
  bool shares_x;  ///< all slots of a token have the same activations
  std::vector<float> weights, x;
  std::vector<std::int32_t> experts;  ///< [n_tokens][n_slots + 1]: rows of a wider matrix

  Mixture(std::int64_t tokens, std::int64_t slots, std::int64_t all, std::int64_t out, bool shared,
          test::Random& random)
      : n_tokens(tokens), n_slots(slots), n_experts(all), n_out(out), shares_x(shared) {
    weights.resize(std::size_t(n_experts * n_out * depth));
    x.resize(std::size_t(n_tokens * (shares_x ? 1 : n_slots) * depth));
    for (float& w : weights) w = random.real() - 0.5f;
    for (float& value : x) value = random.real() - 0.5f;
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      std::vector<std::int32_t> free;
      for (std::int32_t e = 0; e < n_experts; ++e) free.push_back(e);
      for (std::int64_t s = 0; s < n_slots; ++s) {
        // The first experts are chosen often, and the last one never.
        const std::int32_t i = std::min(random.integer(0, std::int32_t(free.size()) - 2),
                                        random.integer(0, std::int32_t(free.size()) - 2));
        experts.push_back(free[std::size_t(i)]);
        free.erase(free.begin() + i);
      }
      experts.push_back(-1);
    }
  }

  const float* row(std::int64_t token, std::int64_t slot) const {
    return x.data() + (shares_x ? token : token * n_slots + slot) * depth;
  }
  Weights weights_of(std::int64_t expert) const {
    return {.data = reinterpret_cast<const char*>(weights.data() + expert * n_out * depth),
            .depth = depth,
            .row = std::size_t(depth) * sizeof(float)};
  }

  std::vector<float> run(const ProductKernel& kernel, int n_threads) const {
    std::vector<float> out(std::size_t(n_tokens * n_slots * n_out), -1.0f);
    const std::size_t x_row = std::size_t(depth) * sizeof(float), slots = std::size_t(n_slots);
    const ExpertTask task{.n_tokens = n_tokens,
                          .n_slots = n_slots,
                          .n_experts = n_experts,
                          .n_out = n_out,
                          .weights = weights_of(0),
                          .expert_bytes = std::size_t(n_out * depth) * sizeof(float),
                          .experts = reinterpret_cast<const char*>(experts.data()),
                          .experts_row = (slots + 1) * sizeof(std::int32_t),
                          .x = reinterpret_cast<const char*>(x.data()),
                          .x_token = shares_x ? x_row : x_row * slots,
                          .x_slot = shares_x ? 0 : x_row,
                          .out = reinterpret_cast<char*>(out.data()),
                          .out_token = slots * std::size_t(n_out) * sizeof(float),
                          .out_slot = std::size_t(n_out) * sizeof(float)};
    const AlignedBlock shared(shared_bytes(kernel, task));
    Team team;
    std::vector<std::thread> threads;
    for (int t = 0; t < n_threads; ++t)
      threads.emplace_back([&, t] {
        const AlignedBlock own(thread_bytes(kernel, task));
        run_experts(kernel, task, t, n_threads, shared.get(), own.get(), team);
        barrier(team, n_threads);  // memory and team serve one product after the other
        run_experts(kernel, task, t, n_threads, shared.get(), own.get(), team);
      });
    for (std::thread& t : threads) t.join();
    return out;
  }

  /// Each row by itself.
  std::vector<float> one_by_one(const ProductKernel& kernel) const {
    std::vector<float> out;
    for (std::int64_t t = 0; t < n_tokens; ++t)
      for (std::int64_t s = 0; s < n_slots; ++s) {
        const auto values = run_product(kernel,
                                        {.n_tokens = 1,
                                         .n_out = n_out,
                                         .weights = weights_of(experts[std::size_t(t * (n_slots + 1) + s)]),
                                         .x = reinterpret_cast<const char*>(row(t, s)),
                                         .x_row = std::size_t(depth) * sizeof(float)},
                                        1);
        out.insert(out.end(), values.begin(), values.end());
      }
    return out;
  }
};

TEST(ExpertProduct, EachRowIsThatOfItsExpert) {
  test::Random random;
  for (const ProductKernel* kernel : kernels_of_plain_rows())
    for (const auto& [tokens, slots, experts, out] : std::vector<std::array<std::int64_t, 4>>{
             {1, 1, 2, 64}, {70, 2, 3, 128}, {33, 4, 40, 192}, {9, 3, 128, 64}})
      for (const bool shared : {true, false}) {
        const Mixture mixture(tokens, slots, experts, out, shared, random);
        const std::vector<float> expected = mixture.one_by_one(*kernel);
        for (const int n_threads : {1, 2, 5})
          EXPECT_EQ(mixture.run(*kernel, n_threads), expected)
              << kernel->name << ", " << n_threads << " threads, " << tokens << " x " << slots << " of "
              << experts << ", " << out << " outputs";
      }
}

/// More rows than are multiplied together.
TEST(ExpertProduct, AnExpertMayGetAllTokens) {
  test::Random random;
  const Mixture mixture(700, 1, 2, 64, true, random);  // of two experts the last one is never chosen
  for (const ProductKernel* kernel : kernels_of_plain_rows())
    EXPECT_EQ(mixture.run(*kernel, 3), mixture.one_by_one(*kernel)) << kernel->name;
}

}  // namespace
}  // namespace chunkkv::kernels
