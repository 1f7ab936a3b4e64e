#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/row_parts.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace chunkkv {
namespace {

/// Smallest and largest number of every channel of every KV head.
struct Range {
  std::vector<float> low, high;

  explicit Range(const RowPart& part) {
    const auto n = std::size_t(part.n_head_kv) * std::size_t(part.width);
    low.assign(part.numbers.begin(), part.numbers.begin() + std::ptrdiff_t(n));
    high = low;
    for (std::size_t i = n; i < part.numbers.size(); ++i) {
      low[i % n] = std::min(low[i % n], part.numbers[i]);
      high[i % n] = std::max(high[i % n], part.numbers[i]);
    }
  }
};

/// Standard deviation over the channels of a row, each in units of its range; an empty range counts as 0.
double deviation(const float* row, const float* low, const float* high, std::int32_t width) {
  double sum = 0, squares = 0;
  for (std::int32_t d = 0; d < width; ++d) {
    const double span = double(high[d]) - low[d];
    const double x = span > 0 ? (double(row[d]) - low[d]) / span : 0;
    sum += x;
    squares += x * x;
  }
  const double n = width;
  return width > 1 ? std::sqrt(std::max(0.0, (squares - sum * sum / n) / (n - 1))) : 0;
}

class LagKV final : public Method {
 public:
  explicit LagKV(const Parameters& p) : sinks_(p.integer("sinks")), lag_(p.integer("lag")) {}

  ObservationRequest request() const override { return {.keys = true, .values = true}; }

  Scores score(const LayerObservation& o) const override {
    Scores scores{o.n_head_kv, o.n_entries, {}};
    scores.values.assign(std::size_t(o.n_head_kv) * std::size_t(o.n_entries), 0.0f);
    const std::int32_t n_parts = std::max(0, o.n_entries - sinks_) / lag_;
    // End of the entries whose part has a next part.
    const std::int32_t end = n_parts < 2 ? sinks_ : sinks_ + (n_parts - 1) * lag_;
    if (n_parts >= 2) {
      add(scores, o.keys, o.n_head_kv, end);
      add(scores, o.values, o.n_head_kv, end);
      rank(scores, end);
    }
    // Sinks rank first, then entries that have no next part to be compared with, the newest of them first.
    for (std::int32_t h = 0; h < o.n_head_kv; ++h)
      for (std::int32_t i = 0; i < o.n_entries; ++i)
        if (i < sinks_ || i >= end)
          scores.head(h)[i] = i < sinks_ ? 3.0f : 1.0f + float(i) / float(o.n_entries);
    return scores;
  }

  SelectionRule rule(const Target&) const override { return {}; }

 private:
  /// Adds to the scores of each part the soft max of its deviations, in units of the next part's range.
  void add(Scores& scores, const std::shared_ptr<const Rows>& rows, std::int32_t n_head_kv,
           std::int32_t end) const {
    std::vector<float> before;
    const auto act = [&](const RowPart& part) {
      if (part.first > sinks_) {
        const RowPart previous{part.first - lag_, lag_, n_head_kv, part.width, before};
        weigh(scores, previous, Range(part));
      }
      before.assign(part.numbers.begin(), part.numbers.end());
    };
    for_each_part(rows, n_head_kv, sinks_, end + lag_, lag_, act);
  }

  void weigh(Scores& scores, const RowPart& part, const Range& next) const {
    std::vector<double> weights(std::size_t(part.count));
    for (std::int32_t h = 0; h < part.n_head_kv; ++h) {
      const std::size_t channel = std::size_t(h) * std::size_t(part.width);
      for (std::int32_t i = 0; i < part.count; ++i)
        weights[std::size_t(i)] = std::exp(deviation(part.row(part.first + i, h), next.low.data() + channel,
                                                     next.high.data() + channel, part.width));
      const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
      for (std::int32_t i = 0; i < part.count; ++i)
        scores.head(h)[part.first + i] += float(weights[std::size_t(i)] / total);
    }
  }

  /// Replaces scores by their ranks within a part, 0 to 1: every part keeps about the same share.
  void rank(Scores& scores, std::int32_t end) const {
    std::vector<std::int32_t> order(static_cast<std::size_t>(lag_));
    for (std::int32_t h = 0; h < scores.n_heads; ++h)
      for (std::int32_t first = sinks_; first < end; first += lag_) {
        float* part = scores.head(h) + first;
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return part[a] < part[b]; });
        std::vector<float> ranks(order.size());
        for (std::size_t r = 0; r < order.size(); ++r) ranks[std::size_t(order[r])] = float(r) / float(lag_);
        std::copy(ranks.begin(), ranks.end(), part);
      }
  }

  std::int32_t sinks_, lag_;
};

}  // namespace

MethodInfo lagkv_method() {
  return {
      "lagkv",
      "keeps tokens whose keys and values vary most beside the next ones', per KV head; reads no attention",
      "LagKV: Lag-Relative Information of the KV Cache Tells Which Tokens Are Important, arXiv 2504.04704",
      {sinks_parameter(),
       integer_parameter("lag", 128, 2, 65536, "tokens of a part, which is set against the next one")},
      [](const Parameters& p) { return std::make_shared<LagKV>(p); }};
}

}  // namespace chunkkv
