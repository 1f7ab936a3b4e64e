#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/row_parts.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

namespace chunkkv {
namespace {

/// Sums over the keys of one head: of each channel, and of the products of two channels, a lower
/// triangle [width][width].
struct KeySums {
  std::vector<double> keys, products;
  std::int64_t n = 0;

  void add(const RowPart& part, std::int32_t head) {
    const auto width = std::size_t(part.width);
    keys.resize(width);
    products.resize(width * width);
    for (std::int32_t i = part.first; i < part.first + part.count; ++i, ++n) {
      const float* key = part.row(i, head);
      for (std::size_t a = 0; a < width; ++a) {
        keys[a] += key[a];
        double* row = products.data() + a * width;
        for (std::size_t b = 0; b <= a; ++b) row[b] += double(key[a]) * key[b];
      }
    }
  }
};

/// A symmetric positive definite matrix, [n][n], as the product of a lower triangle with its transpose.
class Cholesky {
 public:
  Cholesky(std::vector<double> matrix, std::size_t n) : l_(std::move(matrix)), n_(n) {
    for (std::size_t j = 0; j < n_; ++j) {
      for (std::size_t k = 0; k < j; ++k) at(j, j) -= at(j, k) * at(j, k);
      at(j, j) = std::sqrt(std::max(at(j, j), 1e-30));  // rounding may make it negative
      for (std::size_t i = j + 1; i < n_; ++i) {
        for (std::size_t k = 0; k < j; ++k) at(i, j) -= at(i, k) * at(j, k);
        at(i, j) /= at(j, j);
      }
    }
  }

  /// Returns x' matrix^-1 x. `solved`: scratch memory for n numbers.
  double quadratic(std::span<const double> x, std::vector<double>& solved) const {
    double sum = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      double y = x[i];
      const double* row = l_.data() + i * n_;
      for (std::size_t k = 0; k < i; ++k) y -= row[k] * solved[k];
      solved[i] = y / row[i];
      sum += solved[i] * solved[i];
    }
    return sum;
  }

 private:
  double& at(std::size_t i, std::size_t j) { return l_[i * n_ + j]; }

  std::vector<double> l_;
  std::size_t n_;
};

class Leverage final : public Method {
 public:
  explicit Leverage(const Parameters& p)
      : sinks_(p.integer("sinks")), recent_(p.integer("recent")), ridge_(p.real("ridge")) {}

  ObservationRequest request() const override { return {.keys = true}; }

  Scores score(const LayerObservation& o) const override {
    std::vector<KeySums> sums(static_cast<std::size_t>(o.n_head_kv));
    for_each_part(o.keys, o.n_head_kv, 0, o.n_entries, kPart, [&](const RowPart& part) {
      for (std::int32_t h = 0; h < o.n_head_kv; ++h) sums[std::size_t(h)].add(part, h);
    });
    std::vector<Cholesky> covariances;
    for (KeySums& sum : sums) covariances.push_back(centred(sum));

    Scores scores{o.n_head_kv, o.n_entries, {}};
    scores.values.resize(std::size_t(o.n_head_kv) * std::size_t(o.n_entries));
    std::vector<double> key, room;
    for_each_part(o.keys, o.n_head_kv, 0, o.n_entries, kPart, [&](const RowPart& part) {
      key.resize(std::size_t(part.width));
      room.resize(std::size_t(part.width));
      for (std::int32_t h = 0; h < o.n_head_kv; ++h)
        for (std::int32_t i = part.first; i < part.first + part.count; ++i) {
          const KeySums& sum = sums[std::size_t(h)];
          for (std::size_t d = 0; d < key.size(); ++d)
            key[d] = double(part.row(i, h)[d]) - sum.keys[d] / double(sum.n);
          scores.head(h)[i] = float(covariances[std::size_t(h)].quadratic(key, room));
        }
    });
    return scores;
  }

  SelectionRule rule(const Target&) const override { return {.first = sinks_, .last = recent_}; }

 private:
  static constexpr std::int32_t kPart = 512;  // entries

  /// K'K of the keys less their mean, plus the ridge, without which few keys give a matrix with no inverse.
  Cholesky centred(const KeySums& sum) const {
    const std::size_t width = sum.keys.size();
    std::vector<double> matrix = sum.products;
    double trace = 0;
    for (std::size_t a = 0; a < width; ++a) {
      for (std::size_t b = 0; b <= a; ++b) matrix[a * width + b] -= sum.keys[a] * sum.keys[b] / double(sum.n);
      trace += std::max(0.0, matrix[a * width + a]);
    }
    const double ridge = ridge_ * trace / double(width) + 1e-30;
    for (std::size_t d = 0; d < width; ++d)
      matrix[d * width + d] = std::max(0.0, matrix[d * width + d]) + ridge;
    return {std::move(matrix), width};
  }

  std::int32_t sinks_, recent_;
  double ridge_;
};

}  // namespace

MethodInfo leverage_method() {
  return {"leverage",
          "keeps the tokens whose keys the others can replace least, per KV head; reads no attention",
          "the leverage term of Compactor: Calibrated Query-Agnostic KV Cache Compression with Approximate "
          "Leverage Scores, arXiv 2507.08143",
          {sinks_parameter(), integer_parameter("recent", 32, 0, 65536, "last tokens that are always kept"),
           real_parameter("ridge", 0.001, 0.000001, 1,
                          "what is added to each channel's mean square, as a share")},
          [](const Parameters& p) { return std::make_shared<Leverage>(p); }};
}

}  // namespace chunkkv
