#pragma once

#include "kernels/attention.h"
#include "kernels/attention_phases.h"
#include "kernels/attention_received_memory.h"
#include "kernels/attention_softmax.h"
#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// What a thread works on, and its memory. An item is some tokens with all heads that share a KV head; their
/// queries are the lanes of tiles.
template <class A>
struct AttentionWork {
  using V = typename A::Vector;
  static constexpr std::int64_t kLanes = A::kLanes;
  static constexpr float kLog2e = 1.44269504f;

  struct Memory {
    char *keys, *values;
    char* queries;                 ///< packed queries, tile after tile
    float* sums;                   ///< the TileSums of one tile after the other
    float* logits;                 ///< logits of a strip, or of two with kHasSteps
    char* weights;                 ///< weights of as many strips
    float* columns;                ///< [depth][lanes]: scaled queries of a tile before they are packed
    float* mean;                   ///< [depth]: the mean key
    Ends* ends;                    ///< of each token of an item
    TileEnds* tile_ends;           ///< of each tile
    float* totals;                 ///< attention that the cells of a block receive, a vector for each
    std::uint32_t* finite_values;  ///< [groups of 32 cells]: see `FiniteValues`
    ReceivedMemory<A> received;    ///< only for tasks that want the attention that cells receive
    std::size_t bytes;

    Memory(const AttentionTask& task, std::int64_t chunk, char* own) {
      const std::int64_t depth = task.depth;
      const std::int64_t group = task.n_head / task.n_head_kv;
      const auto tiles = std::size_t(task.received != nullptr ? group * ((chunk + kLanes - 1) / kLanes)
                                                              : (chunk * group + kLanes - 1) / kLanes);
      MemoryParts all{own};
      keys = all.take(A::key_bytes(depth));
      values = all.take(A::value_bytes(depth));
      queries = all.take(tiles * A::query_bytes(depth));
      sums = all.take_floats(tiles * std::size_t((depth + 2) * kLanes));
      const auto strips = std::size_t((A::kHasSteps ? 2 : 1) * A::strip(depth));
      logits = all.take_floats(strips * std::size_t(kLanes));
      weights = all.take(strips * A::kWeightBytes);
      columns = all.take_floats(std::size_t(depth * kLanes));
      mean = all.take_floats(std::size_t(depth));
      ends = all.take_array<Ends>(std::size_t(chunk));
      tile_ends = all.take_array<TileEnds>(tiles);
      totals = all.take_floats(std::size_t(A::block(depth) * V::kWidth));
      finite_values = all.take_array<std::uint32_t>(std::size_t((task.n_cells + 31) / 32));
      if (task.received != nullptr) received = ReceivedMemory<A>(task, std::int64_t(tiles), all);
      bytes = all.bytes;
    }

    char* queries_of(std::int64_t tile, std::int64_t depth) const {
      return queries + std::size_t(tile) * A::query_bytes(depth);
    }
    TileSums tile(std::int64_t i, std::int64_t depth) const {
      float* start = sums + i * (depth + 2) * kLanes;
      return {start, start + kLanes, start + 2 * kLanes};
    }
  };

  struct Lane {
    std::int64_t token, head;
    bool is_real;  ///< false for lanes beyond the last query: they repeat it
  };

  struct Item {
    const AttentionTask& task;
    const Memory& memory;
    std::int64_t kv_head, first, count;  ///< `first`, `count`: the first token and the number of tokens
    std::int64_t stride = 1;             ///< from token to token
    bool by_head = false;                ///< a tile holds tokens of one head; else heads change fastest
    bool shares_rest = false;  ///< with by_head: what fills no tile of its head shares tiles, head by head
    bool may_repeat = false;   ///< with by_head: lanes that repeat the last query need not be hidden
    bool only_finite = false;  ///< for queries that see finite values only, of which other cells are left out

    std::int64_t group() const { return task.n_head / task.n_head_kv; }
    /// Whether a lane is taken as the query that it has or repeats; else it sees nothing.
    bool takes(const Lane& lane) const { return lane.is_real || !by_head || may_repeat; }
    /// The tiles that hold tokens of one head, for each head; with by_head.
    std::int64_t tiles_of_head() const { return (shares_rest ? count : count + kLanes - 1) / kLanes; }
    /// The tokens of each head that share tiles with those of others.
    std::int64_t n_rest() const { return shares_rest ? count % kLanes : 0; }
    std::int64_t n_tiles() const {
      return by_head ? group() * tiles_of_head() + (n_rest() * group() + kLanes - 1) / kLanes
                     : (count * group() + kLanes - 1) / kLanes;
    }
    bool is_shared(std::int64_t tile) const { return shares_rest && tile >= group() * tiles_of_head(); }
    /// Where the lanes of a shared tile begin among those of all heads' tokens that share tiles.
    std::int64_t rest_of(std::int64_t tile) const { return (tile - group() * tiles_of_head()) * kLanes; }
    Lane lane(std::int64_t tile, std::int64_t i) const {
      if (!by_head) {
        const std::int64_t at = tile * kLanes + i, last = min_of(at, count * group() - 1);
        return {first + last / group(), kv_head * group() + last % group(), at == last};
      }
      if (is_shared(tile)) {
        const std::int64_t n = n_rest(), at = rest_of(tile) + i, last = min_of(at, n * group() - 1);
        return {first + (count - n + last % n) * stride, kv_head * group() + last / n, at == last};
      }
      const std::int64_t t = tile % tiles_of_head() * kLanes + i;
      return {first + min_of(t, count - 1) * stride, kv_head * group() + tile / tiles_of_head(), t < count};
    }
    /// The first and the last token of a tile's lanes, or of all that share tiles.
    struct Tokens {
      std::int64_t first, last;
    };
    Tokens tokens(std::int64_t tile) const {
      if (is_shared(tile)) return {first + (count - n_rest()) * stride, first + (count - 1) * stride};
      return {lane(tile, 0).token, lane(tile, kLanes - 1).token};
    }
  };

  /// The number of tokens in an item, and those for which a thread has memory.
  static std::int64_t chunk_of(const AttentionTask& task, int n_threads) {
    return chunk_of(task, n_threads, task.received != nullptr);
  }
  static std::int64_t chunk_of(const AttentionTask& task, int n_threads, bool by_head) {
    const std::int64_t group = task.n_head / task.n_head_kv;
    // Items fill whole tiles, and each thread gets several.
    std::int64_t unit = kLanes;
    for (std::int64_t g = group; g % 2 == 0 && unit > 1; g /= 2) unit /= 2;
    if (unit % 3 == 0 && group % 3 == 0) unit /= 3;
    if (by_head) unit = kLanes;
    std::int64_t chunks = (task.n_queries * group + A::kItemLanes - 1) / A::kItemLanes;
    const std::int64_t wanted = (3 * std::int64_t(n_threads) + task.n_head_kv - 1) / task.n_head_kv;
    if (chunks < wanted) chunks = min_of(wanted, (task.n_queries * group + kLanes - 1) / kLanes);
    const std::int64_t even = (task.n_queries + chunks - 1) / chunks;
    return (even + unit - 1) / unit * unit;
  }

  /// Whether all vectors at(0), at(width), ... of `n` numbers are finite.
  template <class At>
  static CHUNKKV_INLINE bool are_finite(std::int64_t n, const At& at) {
    typename V::F difference{};  // of each number and itself: 0, or NaN if it is not finite
    for (std::int64_t i = 0; i < n; i += V::kWidth) difference += at(i) - at(i);
    return !V::any(difference != typename V::F{});
  }
  /// The same for a row of a cache.
  static bool is_finite_row(const char* row, std::int64_t depth) {
    return are_finite(
        depth, [&](std::int64_t d) __attribute__((always_inline)) { return V::from_half(row + 2 * d); });
  }

  /// Finds the mean key of the first cells that any query sees, wherever they lie. Subtracting it from all
  /// keys leaves the weights as they are, and smaller keys round with less error. It is 0 with a soft cap:
  /// then the soft max is not of the plain logits.
  static void find_mean(const Item& item) {
    const AttentionTask& task = item.task;
    constexpr int most_cells = 64;
    float* mean = item.memory.mean;
    for (std::int64_t d = 0; d < task.depth; ++d) mean[d] = 0;
    if (task.softcap != 0) return;
    int n = 0;
    for (std::int64_t group = 0; 32 * group < task.n_cells && n < most_cells; ++group)
      for (std::uint32_t left = task.seen_by_any[group]; left != 0 && n < most_cells; left &= left - 1) {
        const std::int64_t cell = 32 * group + __builtin_ctz(left);
        const char* key = task.k + task.k_head * std::size_t(item.kv_head) + task.k_cell * std::size_t(cell);
        if (!is_finite_row(key, task.depth)) continue;
        ++n;
        for (std::int64_t d = 0; d < task.depth; d += V::kWidth)
          V::store(mean + d, V::load(mean + d) + V::from_half(key + 2 * d));
      }
    for (std::int64_t d = 0; d < task.depth; ++d) mean[d] /= n > 0 ? float(n) : 1.0f;
  }

  static bool is_seen(const Item& item, std::int64_t cell, std::int64_t n) {
    for (std::int64_t g = cell / 32; g < (cell + n + 31) / 32; ++g) {
      const std::uint32_t* words = item.task.visible + g * item.task.n_queries + item.first;
      std::uint32_t any = 0;
      for (std::int64_t t = 0; t < item.count; ++t) any |= words[t * item.stride];
      if (any != 0) return true;
    }
    return false;
  }

  static void pack_keys(const Item& item, std::int64_t cell, std::int64_t n) {
    const AttentionTask& task = item.task;
    A::pack_keys(task.k + task.k_head * std::size_t(item.kv_head) + task.k_cell * std::size_t(cell),
                 task.k_cell, n, task.depth, task.seen_by_any + cell / 32, item.memory.mean,
                 item.memory.keys);
  }

  /// Packs the queries of a tile, scaled for logits in powers of two or, with a soft cap, for V::capped.
  static void pack_queries(const Item& item, std::int64_t tile, char* packed) {
    const AttentionTask& task = item.task;
    const float scale = task.softcap != 0 ? task.scale / task.softcap * 2 * kLog2e : task.scale * kLog2e;
    float* columns = item.memory.columns;
    for (std::int64_t i = 0; i < kLanes; i += 4) {
      const float* rows[4];
      for (int r = 0; r < 4; ++r) {
        const Lane lane = item.lane(tile, i + r);
        rows[r] =
            numbers(task.q + task.q_head * std::size_t(lane.head) + task.q_query * std::size_t(lane.token));
      }
      for (std::int64_t d = 0; d < task.depth; d += V::kWidth)
        V::store_columns(V::load(rows[0] + d) * scale, V::load(rows[1] + d) * scale,
                         V::load(rows[2] + d) * scale, V::load(rows[3] + d) * scale, columns + d * kLanes + i,
                         kLanes);
    }
    A::pack_queries(columns, task.depth, packed);
  }

  /// The cells of a strip that a tile's queries see: they lie from `low` to `high`; none if `high` is 0.
  struct View {
    std::int64_t low, high;
    bool all;
    std::uint32_t words[A::strip(0) / 32 * kLanes];  ///< [groups of 32 cells][lanes]; not set if `all`

    const std::uint32_t* seen() const { return all ? nullptr : words; }
  };

  /// Sets `view` for the strip from `begin` to `end` of the block that starts at `cell`, as far as the tile's
  /// queries take it: `takes(token)` says whether a token's do.
  template <class Takes>
  static void find_view(const Item& item, std::int64_t tile, std::int64_t cell, std::int64_t begin,
                        std::int64_t end, View& view, Takes takes) {
    const AttentionTask& task = item.task;
    const auto [first, last] = item.tokens(tile);
    const std::int64_t first_group = (cell + begin) / 32, n_groups = (end - begin + 31) / 32;
    view.low = end - begin;
    view.high = 0;
    view.all = item.takes(item.lane(tile, kLanes - 1));
    for (std::int64_t g = 0; g < n_groups; ++g) {
      const std::uint32_t* words = task.visible + (first_group + g) * task.n_queries;
      std::uint32_t any = 0, every = 0xffffffffu;
      for (std::int64_t t = first; t <= last; t += item.stride) {
        const std::uint32_t word = takes(t) ? words[t] : 0;
        any |= word;
        every &= word;
      }
      if (every != 0xffffffffu) view.all = false;
      if (any == 0) continue;
      view.low = min_of(view.low, 32 * g + __builtin_ctz(any));
      view.high = 32 * g + 32 - __builtin_clz(any);
    }
    view.low = view.low / A::kKeyUnit * A::kKeyUnit;
    view.high = (view.high + A::kKeyUnit - 1) / A::kKeyUnit * A::kKeyUnit;
    if (view.all || view.high == 0) return;
    for (std::int64_t i = 0; i < kLanes; ++i) {
      const Lane lane = item.lane(tile, i);
      const bool is_used = item.takes(lane) && takes(lane.token);
      for (std::int64_t g = 0; g < n_groups; ++g)
        view.words[g * kLanes + i] =
            is_used ? task.visible[(first_group + g) * task.n_queries + lane.token] : 0;
    }
  }

  /// The same if all of them take it.
  static void find_view(const Item& item, std::int64_t tile, std::int64_t cell, std::int64_t begin,
                        std::int64_t end, View& view) {
    if (all_see(item, tile, cell + begin, cell + end)) {  // as in most strips
      view.low = 0;
      view.high = end - begin;
      view.all = true;
      return;
    }
    find_view(item, tile, cell, begin, end, view, [](std::int64_t) { return true; });
  }

  /// Whether all lanes of a tile are queries that see all cells from `cell` to `end`. May say no of tokens
  /// with a stride and of groups of cells that do not end with `end`.
  static bool all_see(const Item& item, std::int64_t tile, std::int64_t cell, std::int64_t end) {
    if (item.stride != 1 || end % 32 != 0) return false;
    if (!item.takes(item.lane(tile, kLanes - 1))) return false;
    const auto [first, last] = item.tokens(tile);
    const std::int64_t n = last - first + 1, n_groups = (end - cell) / 32;
    const std::uint32_t* words = item.task.visible + cell / 32 * item.task.n_queries + first;
    for (std::int64_t g = 0; g < n_groups; ++g, words += item.task.n_queries) {
      const typename V::I all_cells = typename V::I{} - 1;
      typename V::I every = all_cells;
      std::uint32_t rest = 0xffffffffu;
      std::int64_t t = 0;
      for (; t + V::kWidth <= n; t += V::kWidth) every &= V::load(words + t);
      for (; t < n; ++t) rest &= words[t];
      if (rest != 0xffffffffu || V::any(every != all_cells)) return false;
    }
    return true;
  }

  static void logits(const Item& item, const char* queries, std::int64_t begin, const View& view,
                     float* out) {
    const AttentionTask& task = item.task;
    A::logits(queries, item.memory.keys, task.depth, begin + view.low, begin + view.high, out);
    if (task.softcap != 0) Softmax<A>::cap(out, view.high - view.low, task.softcap);
  }
};

}  // namespace
}  // namespace chunkkv::kernels
