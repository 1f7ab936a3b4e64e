#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

namespace chunkkv::eval {

/// Random numbers that depend only on a seed and a name: the same with every compiler, and the same for a
/// sample whatever other samples there are.
class Random {
 public:
  Random(std::uint64_t seed, std::string_view name) {
    std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    engine_.seed(seed ^ hash);
  }

  /// A number of 0 .. n - 1, with a bias below n / 2^64. The standard distributions differ between libraries.
  std::size_t below(std::size_t n) { return std::size_t(engine_() % n); }

  /// `count` different numbers of 0 .. n - 1, in random order.
  std::vector<std::size_t> choose(std::size_t count, std::size_t n) {
    std::vector<std::size_t> all(n);
    for (std::size_t i = 0; i < n; ++i) all[i] = i;
    for (std::size_t i = 0; i < count; ++i) std::swap(all[i], all[i + below(n - i)]);
    all.resize(count);
    return all;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace chunkkv::eval
