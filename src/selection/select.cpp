#include <chunkkv/error.h>
#include <chunkkv/selection.h>

#include "selection/share.h"
#include "selection/top_k.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace chunkkv {
namespace {

using Indices = std::vector<std::int32_t>;

/// The entries that SelectionRule::first and last protect of n: 0 .. first - 1 and last .. n - 1.
struct Protected {
  std::int32_t first = 0;
  std::int32_t last = 0;

  Protected(const SelectionRule& rule, std::int32_t n)
      : first(std::min(rule.first, n)), last(n - std::min(rule.last, n - first)) {}

  bool holds(std::int32_t entry) const { return entry < first || entry >= last; }
};

/// The entries begin .. end - 1 cut into chunks of `length` from the beginning; the last may be shorter.
struct Chunks {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  std::int32_t length = 1;

  std::int32_t count() const { return (end - begin) / length + ((end - begin) % length != 0); }
  std::int32_t first(std::int32_t chunk) const { return begin + chunk * length; }
  std::int32_t size(std::int32_t chunk) const { return std::min(length, end - first(chunk)); }
  std::int32_t size(std::span<const std::int32_t> chunks) const {
    std::int32_t total = 0;
    for (const auto chunk : chunks) total += size(chunk);
    return total;
  }
};

/// The score of each chunk: the sum or mean of its entries' scores.
std::vector<double> chunk_scores(std::span<const float> scores, const Chunks& chunks, ChunkScore kind) {
  std::vector<double> totals(std::size_t(chunks.count()));
  for (std::int32_t c = 0; c < chunks.count(); ++c) {
    const auto chunk = scores.subspan(std::size_t(chunks.first(c)), std::size_t(chunks.size(c)));
    const double sum = std::accumulate(chunk.begin(), chunk.end(), 0.0);
    totals[std::size_t(c)] = kind == ChunkScore::mean ? sum / double(chunk.size()) : sum;
  }
  return totals;
}

void check_scores(std::span<const float> scores, const Target& target) {
  if (scores.size() != std::size_t(target.n_entries))
    throw Error(fmt::format("{} scores for {} tokens: the method must score each token", scores.size(),
                            target.n_entries));
  const auto bad = std::find_if_not(scores.begin(), scores.end(), [](float s) { return std::isfinite(s); });
  if (bad != scores.end())
    throw Error(
        fmt::format("the score of token {} is {}: the model's attention, keys or values are not finite",
                    bad - scores.begin(), *bad));
}

void append(Indices& kept, std::int32_t begin, std::int32_t end) {
  for (std::int32_t entry = begin; entry < end; ++entry) kept.push_back(entry);
}

/// The best chunks that together hold `room` entries or more, ascending.
template <class Score>
Indices covering_chunks(std::span<const Score> scores, const Chunks& chunks, std::int32_t room) {
  const std::int32_t count = room / chunks.length + (room % chunks.length != 0);
  const Indices best = top_k(scores, count);
  // When the short last chunk is among them, one more chunk fills the room.
  return chunks.size(best) < room ? top_k(scores, count + 1) : best;
}

/// The chunk of `taken` that ranks last: the highest index among the lowest scores.
template <class Score>
std::int32_t lowest_ranked(std::span<const Score> scores, const Indices& taken) {
  return *std::min_element(taken.rbegin(), taken.rend(), [&](std::int32_t a, std::int32_t b) {
    return scores[std::size_t(a)] < scores[std::size_t(b)];
  });
}

/// ChunkRule::exact and ChunkRule::paper, of chunks that have scores.
template <class Score>
Indices select_chunks(std::span<const Score> ranking, const Chunks& chunks, const Target& target,
                      const SelectionRule& rule) {
  const std::int32_t room = target.budget - (target.n_entries - (chunks.end - chunks.begin));
  const Indices taken = rule.rule == ChunkRule::paper ? top_k(ranking, room / rule.chunk)
                                                      : covering_chunks(ranking, chunks, room);
  const std::int32_t surplus = std::max(0, chunks.size(taken) - room);
  const std::int32_t cut = surplus > 0 ? lowest_ranked(ranking, taken) : -1;

  Indices kept;
  kept.reserve(std::size_t(target.budget));
  append(kept, 0, chunks.begin);
  for (const auto c : taken)
    append(kept, chunks.first(c), chunks.first(c) + chunks.size(c) - (c == cut ? surplus : 0));
  append(kept, chunks.end, target.n_entries);
  return kept;
}

/// ChunkRule::exact and ChunkRule::paper: only the entries that are not protected form chunks.
Indices select_between(std::span<const float> scores, const Target& target, const SelectionRule& rule,
                       const Protected& protected_entries) {
  const Chunks chunks{protected_entries.first, protected_entries.last, rule.chunk};
  // A chunk of one entry has its score; most methods keep single entries.
  if (chunks.length == 1)
    return select_chunks(scores.subspan(std::size_t(chunks.begin), std::size_t(chunks.count())), chunks,
                         target, rule);
  const std::vector<double> ranking = chunk_scores(scores, chunks, rule.chunk_score);
  return select_chunks(std::span<const double>(ranking), chunks, target, rule);
}

/// ChunkRule::kvpress: all entries form chunks, ranked by their share of protected entries, then by score.
Indices select_overall(std::span<const float> scores, const Target& target, const SelectionRule& rule,
                       const Protected& protected_entries) {
  const Chunks chunks{0, target.n_entries, rule.chunk};
  std::vector<float> own(scores.begin(), scores.end());
  std::vector<float> is_protected(scores.size(), 0.0f);
  for (std::int32_t i = 0; i < target.n_entries; ++i)
    if (protected_entries.holds(i)) {
      own[std::size_t(i)] = 0.0f;
      is_protected[std::size_t(i)] = 1.0f;
    }
  const auto score = chunk_scores(own, chunks, ChunkScore::mean);
  const auto share = chunk_scores(is_protected, chunks, ChunkScore::mean);
  std::vector<std::pair<double, double>> ranking(score.size());
  for (std::size_t c = 0; c < ranking.size(); ++c) ranking[c] = {share[c], score[c]};

  const std::int32_t count = kvpress_chunks(target, rule.chunk).kept;
  Indices kept;
  for (const auto c : top_k<std::pair<double, double>>(ranking, count))
    append(kept, chunks.first(c), chunks.first(c) + chunks.size(c));
  return kept;
}

}  // namespace

ChunkCount kvpress_chunks(const Target& target, std::int32_t chunk) {
  const std::int32_t all = Chunks{0, target.n_entries, chunk}.count();
  return {all, std::max(1, floor_share(all, target.share))};
}

void check_selection(const Target& target, const SelectionRule& rule) {
  if (rule.first < 0 || rule.last < 0 || rule.chunk < 1)
    throw UsageError("a selection needs chunks of at least 1 entry, and protects 0 or more at each end");
  if (target.n_entries < 1 || target.budget < 1 || target.budget > target.n_entries)
    throw UsageError(
        fmt::format("{} of {} tokens cannot be kept: the budget must be between 1 and all of them",
                    target.budget, target.n_entries));
  if (!(target.share > 0.0 && target.share <= 1.0))
    throw UsageError(
        fmt::format("the share to keep is {}: it must be more than 0 and at most 1", target.share));
  if (target.budget == target.n_entries) return;
  const Protected protected_entries(rule, target.n_entries);
  const std::int32_t n_protected = target.n_entries - (protected_entries.last - protected_entries.first);
  if (n_protected > target.budget)
    throw UsageError(
        fmt::format("a budget of {} tokens cannot hold the {} that are always kept (the first {} and the "
                    "last {} of {}): keep more, or choose a smaller window",
                    target.budget, n_protected, protected_entries.first,
                    target.n_entries - protected_entries.last, target.n_entries));
  if (rule.rule == ChunkRule::paper && n_protected == 0 && target.budget < rule.chunk)
    throw UsageError(
        fmt::format("a budget of {} tokens holds no chunk of {}: keep at least {} tokens, or choose "
                    "a smaller chunk",
                    target.budget, rule.chunk, rule.chunk));
  if (rule.rule != ChunkRule::kvpress) return;
  const auto [all, kept] = kvpress_chunks(target, rule.chunk);
  const std::int32_t chunks_first = Chunks{0, protected_entries.first, rule.chunk}.count();
  const std::int32_t chunks_last = all - std::max(protected_entries.last / rule.chunk, chunks_first);
  const std::int32_t needed = chunks_first + (protected_entries.last < target.n_entries ? chunks_last : 0);
  if (needed > kept)
    throw UsageError(fmt::format(
        "rule=kvpress keeps {} of {} chunks here, and the tokens that are always kept lie in {}: keep at "
        "least {:.1f}%",
        kept, all, needed, std::ceil(1000.0 * double(needed) / all) / 10.0));
}

std::vector<std::int32_t> select(std::span<const float> scores, const Target& target,
                                 const SelectionRule& rule) {
  check_selection(target, rule);
  check_scores(scores, target);
  if (target.budget == target.n_entries) {
    Indices all(scores.size());
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  const Protected protected_entries(rule, target.n_entries);
  return rule.rule == ChunkRule::kvpress ? select_overall(scores, target, rule, protected_entries)
                                         : select_between(scores, target, rule, protected_entries);
}

LayerKept select_layer(std::int32_t layer, const Scores& scores, const Target& target,
                       const SelectionRule& rule) {
  if (scores.n_heads < 1 ||
      scores.values.size() != std::size_t(scores.n_heads) * std::size_t(scores.n_entries))
    throw Error(fmt::format("{} scores for {} heads of {} tokens: the method must score each token",
                            scores.values.size(), scores.n_heads, scores.n_entries));
  LayerKept kept{layer, {}};
  for (std::int32_t h = 0; h < scores.n_heads; ++h)
    kept.heads.push_back(select({scores.head(h), std::size_t(scores.n_entries)}, target, rule));
  return kept;
}

}  // namespace chunkkv
