#include "store/snapshot_codec.h"

#include <chunkkv/error.h>

#include <algorithm>
#include <limits>

namespace chunkkv {
namespace {

/// Writes an ascending list as its first number and the gaps after it, so that neighbours take a byte each.
void write_ascending(ByteWriter& out, const std::vector<Position>& list) {
  Position previous = -1;
  for (const Position p : list) {
    out.varint(std::uint64_t(p) - std::uint64_t(previous) - 1);
    previous = p;
  }
}

std::vector<Position> read_ascending(ByteReader& in, std::size_t n) {
  std::vector<Position> list;
  list.reserve(n);
  std::uint64_t next = 0;
  for (std::size_t i = 0; i < n; ++i) {
    list.push_back(Position(next) + in.below(kInt32End - next));
    next = std::uint64_t(list.back()) + 1;
  }
  return list;
}

/// Writes numbers in any order as steps from their predecessors, which are small where numbers are near.
void write_steps(ByteWriter& out, const std::vector<std::int32_t>& list) {
  std::int64_t expected = 0;
  for (const std::int32_t value : list) {
    out.signed_varint(value - expected);
    expected = std::int64_t(value) + 1;
  }
}

std::vector<std::int32_t> read_steps(ByteReader& in, std::size_t n) {
  std::vector<std::int32_t> list;
  list.reserve(n);
  std::int64_t expected = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::int64_t step = in.signed_varint();
    if (step < -expected || step >= std::int64_t(kInt32End) - expected)
      throw Error("a position is out of range");
    list.push_back(std::int32_t(expected + step));
    expected = std::int64_t(list.back()) + 1;
  }
  return list;
}

void require(bool condition, const char* reason) {
  if (!condition) throw Error(reason);
}

bool is_permutation(const std::vector<std::int32_t>& order) {
  std::vector<bool> seen(order.size());
  for (const std::int32_t rank : order) {
    if (rank < 0 || std::size_t(rank) >= order.size() || seen[std::size_t(rank)]) return false;
    seen[std::size_t(rank)] = true;
  }
  return true;
}

}  // namespace

void write_snapshot(ByteWriter& out, const Snapshot& snapshot) {
  out.varint(snapshot.tokens.size());
  for (const Token token : snapshot.tokens) out.varint(std::uint64_t(token));

  out.varint(snapshot.order.size());
  write_steps(out, snapshot.order);
  write_steps(out, snapshot.cell_positions);

  const std::size_t n_listed = snapshot.positions.empty() ? 0 : snapshot.positions[0].at(0).size();
  out.varint(snapshot.positions.size());
  out.varint(n_listed);
  for (const auto& layer : snapshot.positions) {
    out.varint(layer.size());
    for (const auto& list : layer) write_ascending(out, list);
  }

  out.varint(snapshot.attention.size());
  for (const auto& [layer, sums] : snapshot.attention) {
    out.varint(std::uint64_t(layer));
    out.floats(sums);
  }
}

Snapshot read_snapshot(ByteReader& in) {
  Snapshot snapshot;
  snapshot.tokens.resize(in.count());
  for (Token& token : snapshot.tokens) token = in.below(kInt32End);

  const std::size_t n_entries = in.count(2);
  require(n_entries < kInt32End, "it has too many entries");
  snapshot.n_entries = std::int32_t(n_entries);
  snapshot.order = read_steps(in, n_entries);
  snapshot.cell_positions = read_steps(in, n_entries);

  snapshot.positions.resize(in.count());
  const std::size_t n_listed = in.count();
  for (auto& layer : snapshot.positions) {
    layer.resize(in.count(std::max<std::size_t>(n_listed, 1)));
    for (auto& list : layer) list = read_ascending(in, n_listed);
  }

  for (std::size_t left = in.count(); left > 0; --left) {
    const std::int32_t layer = in.below(kInt32End);
    snapshot.attention[layer] = in.floats();
  }
  return snapshot;
}

void check_snapshot(const Snapshot& snapshot) {
  const auto n = std::size_t(std::max(snapshot.n_entries, 0));
  const auto n_tokens = std::int64_t(snapshot.tokens.size());
  require(n > 0, "it holds no entries");
  require(n_tokens < std::int64_t(kInt32End), "it has too many tokens");
  require(std::int64_t(n) <= n_tokens, "it has more entries than tokens");
  require(std::all_of(snapshot.tokens.begin(), snapshot.tokens.end(), [](Token t) { return t >= 0; }),
          "a token is negative");
  require(snapshot.order.size() == n && is_permutation(snapshot.order), "its cells have no clear order");
  require(snapshot.cell_positions.size() == n, "positions of cells are missing");
  std::vector<Position> cells = snapshot.cell_positions;
  std::sort(cells.begin(), cells.end());
  require(cells.front() >= 0 && cells.back() == n_tokens - 1,
          "positions of cells do not end with the newest token");
  require(std::adjacent_find(cells.begin(), cells.end()) == cells.end(), "two cells share a position");

  if (snapshot.positions.empty()) {
    require(std::int64_t(n) == n_tokens, "it does not tell which tokens were kept");
  } else {
    require(!snapshot.positions[0].empty(), "a layer has no positions");
    const std::size_t n_listed = snapshot.positions[0][0].size();
    require(n_listed <= n, "it lists more positions than entries");
    const std::int64_t end = n_tokens - std::int64_t(n - n_listed);
    for (const auto& layer : snapshot.positions) {
      require(!layer.empty(), "a layer has no positions");
      for (const auto& list : layer) {
        require(list.size() == n_listed, "its layers keep different numbers of tokens");
        require(list.empty() || (list.front() >= 0 && list.back() < end), "a position is out of range");
        require(std::adjacent_find(list.begin(), list.end(), std::greater_equal<>()) == list.end(),
                "positions are not ascending");
      }
    }
  }
  for (const auto& [layer, sums] : snapshot.attention)
    require(layer >= 0 && sums.size() % n == 0, "sums of attention do not fit the entries");
}

}  // namespace chunkkv
