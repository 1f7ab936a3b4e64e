#pragma once

#include "kernels/attention_f32.h"
#include "kernels/similar_keys.h"

namespace chunkkv::kernels {
namespace {

/// Keys that still search are the lanes of tiles; the keys that they are compared with are packed in blocks,
/// as for attention. Products of rounded numbers only tell which pairs may be alike: pairs near the threshold
/// are decided in single precision.
template <class A>
class SimilarKeys {
  using V = typename A::Vector;
  using F = typename V::F;
  using I = typename V::I;
  static constexpr std::int64_t kLanes = A::kLanes;
  static_assert(kLanes <= 64);  // lanes are the bits of a word
  /// The most keys that search together. An item packs all keys that it is compared with, so items are large.
  static constexpr std::int64_t kItemKeys = 1536 / kLanes * kLanes;
  // Many keys find a similar one among the newest few hundred. So the first block is short: keys that have
  // found one make room in their tiles for those that still search.
  static constexpr std::int64_t kFirstBlock = 256;
  /// The most keys of a strip: a tile's search ends with the strip in which all its keys have found one.
  static constexpr std::int64_t kMostStrip = 128;
  /// How far products of rounded keys may be off: in BF16 each number by 2^-9 of it, and a little more.
  static constexpr float kMargin = A::kRoundsProducts ? 0x1.08p-8f : 0.0f;

  struct Memory {
    char *block, *tile;
    float* products;     ///< products of two strips, [keys][lanes] each
    std::int32_t* open;  ///< keys that still search, ascending
    std::size_t bytes;

    Memory(std::int64_t depth, char* own) {
      MemoryParts all{own};
      block = all.take(A::key_bytes(depth));
      tile = all.take(A::query_bytes(depth));
      products = all.take_floats(std::size_t(2 * kMostStrip * kLanes));
      open = static_cast<std::int32_t*>(static_cast<void*>(all.take(kItemKeys * sizeof(std::int32_t))));
      bytes = all.bytes;
    }
  };

 public:
  static std::size_t thread_bytes(const SimilarKeysTask& task) { return Memory(task.depth, nullptr).bytes; }

  static void run(const SimilarKeysTask& task, char* own, std::atomic<std::int64_t>& next) {
    [[maybe_unused]] const typename A::Scope scope;
    const Memory memory(task.depth, own);
    // Of few keys there are four items and more, so that all threads have work.
    const std::int64_t item = min_of(kItemKeys, (task.n / 4 / kLanes + 1) * kLanes);
    for (std::int64_t first; (first = next.fetch_add(item, std::memory_order_relaxed)) < task.n;) {
      const std::int64_t count = min_of(item, task.n - first);
      search(task, memory, first, count);
      for (std::int64_t i = first; i < first + count; ++i) multiply(task, i);
    }
  }

 private:
  static void multiply(const SimilarKeysTask& task, std::int64_t i) {
    if (task.newest[i] < 0) task.newest[i] = 0;
    const float *key = task.keys + i * task.depth, *newest = task.keys + task.newest[i] * task.depth;
    F of_newest{}, of_others{};
    for (std::int64_t d = 0; d < task.depth; d += V::kWidth) {
      const F x = V::load(key + d);
      of_newest += x * V::load(newest + d);
      of_others += x * (V::load(task.sum + d) - x);
    }
    task.of_newest[i] = total(of_newest);
    task.of_others[i] = total(of_others);
  }
  static float product(const SimilarKeysTask& task, std::int64_t i, std::int64_t j) {
    const float *a = task.keys + i * task.depth, *b = task.keys + j * task.depth;
    F sum{};
    for (std::int64_t d = 0; d < task.depth; d += V::kWidth) sum += V::load(a + d) * V::load(b + d);
    return total(sum);
  }
  static float total(F x) {
    float sum = 0;
    for (int i = 0; i < V::kWidth; ++i) sum += x[i];
    return sum;
  }

  static void search(const SimilarKeysTask& task, const Memory& memory, std::int64_t first,
                     std::int64_t n_open) {
    for (std::int64_t i = 0; i < n_open; ++i) {
      memory.open[i] = std::int32_t(first + i);
      task.newest[first + i] = -1;
    }
    std::int64_t size = min_of(kFirstBlock, A::block(task.depth));
    for (std::int64_t end = task.n; end > 0 && n_open > 0; size = min_of(2 * size, A::block(task.depth))) {
      const std::int64_t n = min_of(size, end);
      A::pack_rows(task.keys + (end - n) * task.depth, n, task.depth, memory.block);
      for (std::int64_t i = 0; i < n_open; i += kLanes)
        compare(task, memory, memory.open + i, min_of(kLanes, n_open - i), end - n, n);
      std::int64_t still_open = 0;
      for (std::int64_t i = 0; i < n_open; ++i)
        if (task.newest[memory.open[i]] < 0) memory.open[still_open++] = memory.open[i];
      n_open = still_open;
      end -= n;
    }
  }

  /// Compares `count` open keys with the block of `n` keys that starts at `begin`, the newest strip first.
  /// The next strip's products are begun before those of a strip are looked at, so that the processor does
  /// both at the same time.
  static void compare(const SimilarKeysTask& task, const Memory& memory, const std::int32_t* keys,
                      std::int64_t count, std::int64_t begin, std::int64_t n) {
    const float* rows[kLanes];
    for (std::int64_t i = 0; i < kLanes; ++i) rows[i] = task.keys + keys[min_of(i, count - 1)] * task.depth;
    A::pack_lanes(rows, task.depth, memory.tile);
    const std::int64_t strip = strip_of(task);
    std::uint64_t searching = ~std::uint64_t(0) >> (64 - count);  // a bit for each lane
    const auto products_of = [&](std::int64_t s) { return memory.products + s / strip % 2 * strip * kLanes; };
    std::int64_t s = (n - 1) / strip * strip;
    multiply_strip(task, memory, s, n, products_of(s));
    for (; s >= 0 && searching != 0; s -= strip) {
      if (s > 0) multiply_strip(task, memory, s - strip, n, products_of(s - strip));
      float* const products = products_of(s);
      const std::int64_t length = min_of(strip, n - s);
      if (keys[count - 1] >= begin + s && keys[0] < begin + s + length)  // a key is not like itself
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t own = keys[i] - begin - s;
          if (own >= 0 && own < length) products[own * kLanes + i] = -__builtin_inff();
        }
      std::int32_t last[kLanes];
      for (std::uint64_t hits = searching & find_last(products, length, task.threshold - kMargin, last);
           hits != 0; hits &= hits - 1) {
        const int i = __builtin_ctzll(hits);
        if (A::kRoundsProducts) last[i] = confirm(task, products + i, keys[i], begin + s, last[i]);
        if (last[i] < 0) continue;
        task.newest[keys[i]] = std::int32_t(begin + s) + last[i];
        searching &= ~(std::uint64_t(1) << i);
      }
    }
  }
  static std::int64_t strip_of(const SimilarKeysTask& task) {
    return min_of(A::strip(task.depth), kMostStrip);
  }
  static void multiply_strip(const SimilarKeysTask& task, const Memory& memory, std::int64_t s,
                             std::int64_t n, float* products) {
    const std::int64_t length = min_of(strip_of(task), n - s);
    const std::int64_t whole = (length + A::kKeyUnit - 1) / A::kKeyUnit * A::kKeyUnit;
    A::logits(memory.tile, memory.block, task.depth, s, s + whole, products);
  }

  /// The last key of a strip, from `last` backwards, that is like `key` in single precision; -1: none.
  /// `products`: those of the lane of `key` with the strip that starts at `begin`.
  static std::int32_t confirm(const SimilarKeysTask& task, const float* products, std::int64_t key,
                              std::int64_t begin, std::int32_t last) {
    for (; last >= 0; --last) {
      const float rounded = products[last * kLanes];
      if (!(rounded > task.threshold - kMargin)) continue;
      if (rounded > task.threshold + kMargin || product(task, key, begin + last) > task.threshold) break;
    }
    return last;
  }

  /// Finds the last product of each lane that exceeds the threshold. Returns a bit for each lane that has
  /// one; `last` stays as it is in all others.
  static std::uint64_t find_last(const float* products, std::int64_t n, float threshold, std::int32_t* last) {
    std::uint64_t lanes = 0;
    const F bound = V::all(threshold);
    for (int c = 0; c < A::kColumns; ++c) {
      const float* column = products + c * V::kWidth;
      if (!V::any(highest(column, n) > bound)) continue;  // as in most strips
      I found[4];  // of every fourth key, so that none waits for another
      for (I& key : found) key = I{} - 1;
      std::int64_t i = 0;
      for (; i + 4 <= n; i += 4)
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) mark(V::load(column + (i + k) * kLanes) > bound, i + k, found[k]);
      for (; i < n; ++i) mark(V::load(column + i * kLanes) > bound, i, found[0]);
      const I newest = newer(newer(found[0], found[1]), newer(found[2], found[3]));
      for (int lane = 0; lane < V::kWidth; ++lane) {
        if (newest[lane] < 0) continue;
        last[c * V::kWidth + lane] = newest[lane];
        lanes |= std::uint64_t(1) << (c * V::kWidth + lane);
      }
    }
    return lanes;
  }
  static CHUNKKV_INLINE void mark(I hit, std::int64_t key, I& found) {
    found = (hit & std::int32_t(key)) | (found & ~hit);
  }
  static CHUNKKV_INLINE I newer(I a, I b) {
    const I greater = a > b;
    return (a & greater) | (b & ~greater);
  }
  static CHUNKKV_INLINE F highest(const float* column, std::int64_t n) {
    F most[4];
    for (F& x : most) x = V::all(-__builtin_inff());
    std::int64_t i = 0;
    for (; i + 4 <= n; i += 4)
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) most[k] = V::maximum(V::load(column + (i + k) * kLanes), most[k]);
    for (; i < n; ++i) most[0] = V::maximum(V::load(column + i * kLanes), most[0]);
    return V::maximum(V::maximum(most[0], most[1]), V::maximum(most[2], most[3]));
  }
};

template <class A>
SimilarKeysKernel similar_keys_kernel(const char* name) {
  return {name, &SimilarKeys<A>::thread_bytes, &SimilarKeys<A>::run};
}

}  // namespace
}  // namespace chunkkv::kernels
