#pragma once

#include "kernels/attention_vectors.h"
#include "kernels/row_statistics_shape.h"
#include "kernels/similar_keys.h"
#include "kernels/similar_keys_exact.h"
#include "kernels/similar_products.h"

namespace chunkkv::kernels {
namespace {

/// Keys that still search are the lanes of tiles. They are compared with strips of all keys, the newest
/// first: a strip, which fills a part of the first-level cache, serves all tiles before the next one's turn.
/// Products of rounded numbers only tell which pairs may be alike: pairs near the threshold are decided in
/// single precision.
template <class A>
class SimilarKeys {
  using V = typename A::Vector;
  using F = typename V::F;
  using Steps = typename A::Logits;
  using Keys = ExactKeys<V>;
  using Products = SimilarProducts<A>;
  static constexpr std::int64_t kLanes = A::kLanes;
  static_assert(kLanes <= 64);  // lanes are the bits of a word
  /// The most keys that search together: their tiles fill a part of the second-level cache.
  static constexpr std::int64_t kItemTiles = 1536 / kLanes, kItemKeys = kItemTiles * kLanes;
  /// The keys of a strip.
  static constexpr std::int64_t kStrip = 64;
  static_assert(kStrip <= Products::kMostKeys);
  static_assert(SimilarKeysKernel::kPackedKeys % A::kKeyUnit == 0);
  /// How far products may be off because they are added up in single precision.
  static constexpr float kMargin = 0x1p-13f;

  /// Some keys of an item and which of them still search.
  struct Tile {
    std::int32_t keys[kLanes];  ///< ascending; lanes without a key repeat the last one
    float bounds[kLanes];  ///< products above it may be hits; none is above that of a key that has found one
    std::uint64_t searching;  ///< a bit for each lane
  };

  struct Memory {
    char* packed;     ///< [kItemTiles] keys of a tile as lanes
    float* products;  ///< [2][strip][lanes]
    Tile* tiles;      ///< [kItemTiles]
    std::size_t bytes;

    Memory(std::int64_t depth, char* own) {
      MemoryParts all{own};
      packed = all.take(std::size_t(kItemTiles) * A::query_bytes(depth));
      products = all.take_floats(std::size_t(2 * kStrip * kLanes));
      tiles = all.take_array<Tile>(std::size_t(kItemTiles));
      bytes = all.bytes;
    }
  };

 public:
  static std::size_t thread_bytes(const SimilarKeysTask& task) { return Memory(task.depth, nullptr).bytes; }

  static std::size_t packed_bytes(const SimilarKeysTask& task) {
    const std::int64_t n_rows = (task.n + A::kKeyUnit - 1) / A::kKeyUnit * A::kKeyUnit;
    return (places_bytes() + std::size_t(n_rows) * A::row_bytes(task.depth) + 63) / 64 * 64;
  }

  /// Gives depths their places in packed keys by their energies: mean squares in some of the keys.
  static void prepare(const SimilarKeysTask& task) {
    if constexpr (A::kHasPlaces) {
      constexpr std::int64_t kSample = 64;
      float energies[kMostAttentionDepth] = {};
      for (std::int64_t k = 0; k < min_of(kSample, task.n); ++k) {
        const typename Keys::Key key(task, task.n <= kSample ? k : k * task.n / kSample);
        F sum{};
        for (std::int64_t d = 0; d < task.depth; d += V::kWidth) sum += square(key.of_any_length(d));
        float sums[4];
        V::store_sums(sum, F{}, F{}, F{}, sums);
        if (!(sums[0] > 0 && sums[0] < 1e30f)) continue;  // nor what is no number
        for (std::int64_t d = 0; d < task.depth; d += V::kWidth)
          V::store(energies + d, V::load(energies + d) + square(key.of_any_length(d)) * V::all(1 / sums[0]));
      }
      A::find_places(energies, task.depth, *(typename A::Places*)task.packed);
    }
  }

  static void pack(const SimilarKeysTask& task, std::int64_t first, std::int64_t end, float* sum) {
    constexpr std::int64_t kTogether = 32;  // keys of a depth of 256 fill a part of the first-level cache
    static_assert(kTogether % A::kKeyUnit == 0);
    float units[kTogether * kMostAttentionDepth];
    for (std::int64_t d = 0; d < task.depth; ++d) sum[d] = 0;
    for (std::int64_t i = first; i < end; i += kTogether) {
      const std::int64_t n = min_of(kTogether, end - i);
      const float* keys = units;
      if (task.keys != nullptr) {
        keys = task.keys + i * task.depth;
        for (std::int64_t k = 0; k < n; ++k)
          for (std::int64_t d = 0; d < task.depth; ++d) sum[d] += keys[k * task.depth + d];
      } else {
        RowStatistics<V>::units(task.rows, i, i + n, task.smallest, task.factors + i, units, sum);
      }
      float* const errors = task.errors + i;
      char* const packed = rows(task) + std::size_t(i) * A::row_bytes(task.depth);
      if constexpr (A::kHasPlaces)
        A::pack_rows(keys, n, task.depth, *(const typename A::Places*)task.packed, packed, errors);
      else
        A::pack_rows(keys, n, task.depth, packed, errors);
      // Two keys of length 1 that are a and b away from what is packed: their product changes by at most
      // a + b + a b, so by the sum of two parts such as a + a^2 / 2.
      for (std::int64_t k = 0; k < n; ++k) errors[k] = 1.001f * (errors[k] + 0.5f * errors[k] * errors[k]);
    }
  }

  static void run(const SimilarKeysTask& task, char* own, std::atomic<std::int64_t>& next) {
    [[maybe_unused]] const typename A::Scope scope;
    const Memory memory(task.depth, own);
    // Of few keys there are four items and more, so that all threads have work.
    const std::int64_t item = min_of(kItemKeys, (task.n / 4 / kLanes + 1) * kLanes);
    for (std::int64_t first; (first = next.fetch_add(item, std::memory_order_relaxed)) < task.n;) {
      const std::int64_t count = min_of(item, task.n - first);
      search(task, memory, first, count);
      multiply(task, first, first + count);
    }
  }

 private:
  /// Multiplies keys with the newest similar ones, which are anywhere in the cache and so fetched ahead.
  static void multiply(const SimilarKeysTask& task, std::int64_t first, std::int64_t end) {
    constexpr std::int64_t kAhead = 12;
    for (std::int64_t i = first; i < end; i += 2) {
      for (std::int64_t later = i + kAhead; later < min_of(i + kAhead + 2, end); ++later) {
        Keys::fetch(task, later);
        Keys::fetch(task, task.newest[later]);
      }
      end - i >= 2 ? Keys::template multiply<2>(task, i) : Keys::template multiply<1>(task, i);
    }
  }

  /// Places stand before the packed keys.
  static constexpr std::size_t places_bytes() {
    if constexpr (A::kHasPlaces) return (sizeof(typename A::Places) + 63) / 64 * 64;
    return 0;
  }
  static char* rows(const SimilarKeysTask& task) { return task.packed + places_bytes(); }

  static CHUNKKV_INLINE F square(F x) { return x * x; }

  /// The greatest error of the keys of a strip; errors that are no numbers do not count.
  static float error_of(const SimilarKeysTask& task, std::int64_t begin, std::int64_t length) {
    float lanes[V::kWidth] = {}, greatest = 0;
    F most{};
    std::int64_t i = begin;
    for (; i + V::kWidth <= begin + length; i += V::kWidth) most = V::maximum(V::load(task.errors + i), most);
    V::store(lanes, most);
    for (; i < begin + length; ++i) lanes[0] = task.errors[i] > lanes[0] ? task.errors[i] : lanes[0];
    for (const float lane : lanes) greatest = lane > greatest ? lane : greatest;
    return greatest;
  }

  static void search(const SimilarKeysTask& task, const Memory& memory, std::int64_t first,
                     std::int64_t count) {
    std::int32_t open[kItemKeys];  // keys that still search, ascending
    for (std::int64_t i = 0; i < count; ++i) {
      open[i] = std::int32_t(first + i);
      task.newest[first + i] = 0;
    }
    std::int64_t n_tiles = fill_tiles(task, memory, open, count);
    for (std::int64_t s = (task.n - 1) / kStrip * kStrip; s >= 0; s -= kStrip) {
      compare(task, memory, n_tiles, s);
      // Keys that have found one make room for those that still search once these fill three tiles of four.
      std::int64_t n_open = 0, n_live = 0;
      for (std::int64_t t = 0; t < n_tiles; ++t) {
        n_open += __builtin_popcountll(memory.tiles[t].searching);
        n_live += memory.tiles[t].searching != 0 ? 1 : 0;
      }
      if (n_open == 0) return;
      const bool fewer_tiles = (n_open + kLanes - 1) / kLanes < n_live;
      if (!fewer_tiles || 4 * n_open > 3 * n_live * kLanes) continue;
      std::int64_t n = 0;
      for (std::int64_t t = 0; t < n_tiles; ++t)
        for (std::uint64_t left = memory.tiles[t].searching; left != 0; left &= left - 1)
          open[n++] = memory.tiles[t].keys[__builtin_ctzll(left)];
      n_tiles = fill_tiles(task, memory, open, n);
    }
  }

  /// Distributes `count` keys to tiles and returns the number of these.
  static std::int64_t fill_tiles(const SimilarKeysTask& task, const Memory& memory, const std::int32_t* keys,
                                 std::int64_t count) {
    const std::int64_t n_tiles = (count + kLanes - 1) / kLanes;
    for (std::int64_t t = 0; t < n_tiles; ++t, keys += kLanes, count -= kLanes) {
      Tile& tile = memory.tiles[t];
      tile.searching = ~std::uint64_t(0) >> (64 - min_of(kLanes, count));
      for (std::int64_t i = 0; i < kLanes; ++i) {
        tile.keys[i] = keys[min_of(i, count - 1)];
        tile.bounds[i] = i < count ? lowest_hit(task, tile.keys[i]) : __builtin_inff();
      }
      A::pack_lanes(rows(task), tile.keys, task.depth, packed(task, memory, t));
    }
    return n_tiles;
  }
  /// What the product of a key with a similar one exceeds, if that one is packed without an error.
  static float lowest_hit(const SimilarKeysTask& task, std::int64_t key) {
    return task.threshold - (kMargin + task.errors[key]);
  }
  static char* packed(const SimilarKeysTask& task, const Memory& memory, std::int64_t tile) {
    return memory.packed + std::size_t(tile) * A::query_bytes(task.depth);
  }

  /// The keys of a strip.
  struct Strip {
    std::int64_t begin, length;
    float error;  ///< the greatest of its keys
  };

  /// Compares the keys of all tiles with the strip that begins at `begin`. The next tile's products are
  /// computed while those of a tile are looked at.
  static void compare(const SimilarKeysTask& task, const Memory& memory, std::int64_t n_tiles,
                      std::int64_t begin) {
    const std::int64_t length = min_of(kStrip, task.n - begin);
    const Strip strip{begin, length, error_of(task, begin, length)};
    const std::int64_t end = begin + (length + A::kKeyUnit - 1) / A::kKeyUnit * A::kKeyUnit;
    const auto next_of = [&](std::int64_t t) {
      while (t < n_tiles && memory.tiles[t].searching == 0) ++t;
      return t;
    };
    const auto products_of = [&](std::int64_t t, Products& products) -> Steps {
      if (t >= n_tiles) return {};
      const char* lanes = packed(task, memory, t);
      if constexpr (A::kHasSteps) {
        return {lanes, rows(task), task.depth, begin, end, products.numbers};
      } else {
        float bounds[kLanes];
        for (int c = 0; c < A::kColumns; ++c)
          V::store(bounds + c * V::kWidth,
                   V::load(memory.tiles[t].bounds + c * V::kWidth) - V::all(strip.error));
        A::products(lanes, rows(task), task.depth, begin, end, bounds, products.numbers, products.near);
        return {};
      }
    };
    Products products{memory.products}, others{memory.products + kStrip * kLanes};
    std::int64_t t = next_of(0);
    Steps steps = products_of(t, products);
    do_all(steps);
    while (t < n_tiles) {
      const std::int64_t next = next_of(t + 1), later = next_of(next + 1);
      steps = products_of(next, others);
      find(task, memory.tiles[t], strip, products, steps, packed(task, memory, later < n_tiles ? later : 0));
      t = next;
      const Products done = products;
      products = others;
      others = done;
    }
  }

  /// Lanes of a tile, and the keys of a strip, as bits, that rounded products do not tell from similar ones.
  struct Unsure {
    int n = 0, lanes[kLanes];
    std::uint64_t keys[kLanes];

    CHUNKKV_INLINE void add(int lane, std::uint64_t own) {
      lanes[n] = lane;
      keys[n++] = own;
    }
  };

  /// Finds the keys of a tile that have a similar one in a strip, by their products. Does all `steps`, and
  /// fetches the lanes of a `later` tile into the first-level cache.
  static void find(const SimilarKeysTask& task, Tile& tile, const Strip& strip, Products& products,
                   Steps& steps, const char* later) {
    if (tile.keys[kLanes - 1] >= strip.begin && tile.keys[0] < strip.begin + strip.length)
      for (std::int64_t i = 0; i < kLanes; ++i) {  // a key is not like itself
        const std::int64_t own = tile.keys[i] - strip.begin;
        if (own >= 0 && own < strip.length) products.at(own, i) = -__builtin_inff();
      }
    bool may_hit[A::kColumns];
    if constexpr (A::kHasSteps) {
      F most[A::kColumns];
      products.highest(strip.length, most, steps, later);
      do_all(steps);
      for (int c = 0; c < A::kColumns; ++c)
        may_hit[c] = V::above(most[c], V::load(tile.bounds + c * V::kWidth) - V::all(strip.error)) != 0;
    } else {
      for (int c = 0; c < A::kColumns; ++c) may_hit[c] = products.near[c] != 0;
    }
    Unsure unsure;
    for (int c = 0; c < A::kColumns; ++c)
      if (may_hit[c]) find(task, tile, strip, products, c, unsure);
    while (unsure.n > 0) decide(task, tile, strip, products, unsure);
  }

  /// The same for the keys of one column of vectors, one of which may have a similar key. What is to be
  /// decided in single precision is fetched, and left to be done together.
  static void find(const SimilarKeysTask& task, Tile& tile, const Strip& strip, const Products& products,
                   int column, Unsure& unsure) {
    const int first = column * V::kWidth;
    const F bounds = V::load(tile.bounds + first) - V::all(strip.error);
    typename Products::Hits hits;
    for (std::uint32_t left = products.find(column, strip.length, bounds, hits); left != 0;
         left &= left - 1) {
      const int i = __builtin_ctz(left);
      look(task, tile, strip, products, first + i, hits.keys_of(i), unsure);
    }
  }

  /// Looks at the last of the `keys` of a strip that may be like that of a lane.
  static CHUNKKV_INLINE void look(const SimilarKeysTask& task, Tile& tile, const Strip& strip,
                                  const Products& products, int lane, std::uint64_t keys, Unsure& unsure) {
    const int last = last_of(keys);
    if (products.at(last, lane) > sure(task, tile, strip, lane)) return found(task, tile, strip, lane, last);
    Keys::fetch(task, tile.keys[lane]);
    Keys::fetch(task, strip.begin + last);
    unsure.add(lane, keys);
  }
  static int last_of(std::uint64_t keys) { return 63 - __builtin_clzll(keys); }

  /// Decides in single precision whether the last key of each unsure lane is like the lane's, four at a time.
  /// Where it is not, looks at the key before it.
  static void decide(const SimilarKeysTask& task, Tile& tile, const Strip& strip, const Products& products,
                     Unsure& unsure) {
    constexpr int kTogether = 4;
    const int n = unsure.n;
    unsure.n = 0;  // what is added takes the places of those that have been looked at
    for (int first = 0; first < n; first += kTogether) {
      const int count = int(min_of(kTogether, n - first));
      int lanes[kTogether];
      std::uint64_t keys[kTogether];
      std::int32_t lefts[kTogether], rights[kTogether];
      for (int i = 0; i < count; ++i) {
        lanes[i] = unsure.lanes[first + i];
        keys[i] = unsure.keys[first + i];
        lefts[i] = tile.keys[lanes[i]];
        rights[i] = std::int32_t(strip.begin) + last_of(keys[i]);
      }
      float exact[kTogether];
      Keys::multiply_pairs(task, lefts, rights, count, exact);
      for (int i = 0; i < count; ++i) {
        const int last = last_of(keys[i]);
        if (exact[i] > task.threshold) {
          found(task, tile, strip, lanes[i], last);
          continue;
        }
        keys[i] &= ~(std::uint64_t(1) << last);
        if (keys[i] != 0) look(task, tile, strip, products, lanes[i], keys[i], unsure);
      }
    }
  }

  /// Ends the search of a lane's key.
  static void found(const SimilarKeysTask& task, Tile& tile, const Strip& strip, int lane,
                    std::int32_t last) {
    task.newest[tile.keys[lane]] = std::int32_t(strip.begin) + last;
    tile.searching &= ~(std::uint64_t(1) << lane);
    tile.bounds[lane] = __builtin_inff();
  }
  /// A product of a lane above it is one of a similar key. The threshold lies in the middle between it and
  /// what the product of a similar key exceeds.
  static float sure(const SimilarKeysTask& task, const Tile& tile, const Strip& strip, int lane) {
    return 2 * task.threshold - (tile.bounds[lane] - strip.error);
  }
};

template <class A>
SimilarKeysKernel similar_keys_kernel(const char* name) {
  return {name,
          &SimilarKeys<A>::packed_bytes,
          &SimilarKeys<A>::prepare,
          &SimilarKeys<A>::pack,
          &SimilarKeys<A>::thread_bytes,
          &SimilarKeys<A>::run};
}

}  // namespace
}  // namespace chunkkv::kernels
