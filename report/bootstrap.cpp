#include "report/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace chunkkv::report {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

/// How often each sample was drawn.
using Weights = std::vector<double>;

double mean(const std::vector<Tally>& row, const Weights& weights) {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    sum += weights[i] * row[i].sum;
    count += weights[i] * row[i].count;
  }
  return sum / count;  // NaN where no sample was drawn: the mean is undefined
}

/// The means of two rows over the samples that both have.
struct Means {
  double own = kUndefined;
  double other = kUndefined;
};

Means paired_means(const std::vector<Tally>& own, const std::vector<Tally>& other, const Weights& weights) {
  Tally a, b;
  for (std::size_t i = 0; i < own.size(); ++i) {
    const double weight = own[i].count > 0 && other[i].count > 0 ? weights[i] : 0;
    a.sum += weight * own[i].sum;
    a.count += weight * own[i].count;
    b.sum += weight * other[i].sum;
    b.count += weight * other[i].count;
  }
  return {a.sum / a.count, b.sum / b.count};
}

/// A row's means in one stratum.
struct RowMeans {
  double mean = kUndefined;
  Means reference;
  Means baseline;
};

std::vector<RowMeans> row_means(const TaskSamples& stratum, const std::vector<Comparison>& comparisons,
                                const Weights& weights) {
  std::vector<RowMeans> means(stratum.size());
  for (std::size_t row = 0; row < stratum.size(); ++row) {
    const auto& [reference, baseline] = comparisons[row];
    means[row].mean = mean(stratum[row], weights);
    if (reference) means[row].reference = paired_means(stratum[row], stratum[*reference], weights);
    if (baseline) means[row].baseline = paired_means(stratum[row], stratum[*baseline], weights);
  }
  return means;
}

/// The figures of a row in a column, in one resample.
struct Figures {
  double mean = 0;
  double share = 0;
  double lead = 0;
};

/// `means`: [stratum][row].
Figures figures(const std::vector<std::vector<RowMeans>>& means, const TaskIndices& tasks, std::size_t row) {
  Figures figures;
  double own = 0, reference = 0;
  for (const std::size_t task : tasks) {
    const RowMeans& part = means[task][row];
    figures.mean += part.mean / double(tasks.size());
    figures.lead += (part.baseline.own - part.baseline.other) / double(tasks.size());
    own += part.reference.own;
    reference += part.reference.other;
  }
  figures.share = reference > 0 ? own / reference : kUndefined;
  return figures;
}

/// The quantile at `share`, linear between the two values around it. `values` is not empty; its order
/// changes.
double quantile(std::vector<double>& values, double share) {
  const double at = share * double(values.size() - 1);
  const auto below = values.begin() + std::ptrdiff_t(at);
  std::nth_element(values.begin(), below, values.end());
  const double above = below + 1 == values.end() ? *below : *std::min_element(below + 1, values.end());
  return *below + (at - std::floor(at)) * (above - *below);
}

/// The 95 % interval; none where a resample left the figure undefined.
std::optional<Interval> interval(std::vector<double> values) {
  const auto is_undefined = [](double value) { return std::isnan(value); };
  if (values.empty() || std::any_of(values.begin(), values.end(), is_undefined)) return std::nullopt;
  const double lowest = quantile(values, 0.025);
  return Interval{lowest, quantile(values, 0.975)};
}

/// What the resamples gave for one row in one column.
struct Resampled {
  std::vector<double> mean, share, lead;

  void add(const Figures& figures) {
    mean.push_back(figures.mean);
    share.push_back(figures.share);
    lead.push_back(figures.lead);
  }
};

std::size_t n_samples(const TaskSamples& stratum) {
  return stratum.empty() ? 0 : stratum.front().size();
}

/// Draws as many samples as there are, with replacement. Uses no distribution of the standard library, as
/// those differ between platforms.
void draw(std::mt19937_64& random, Weights& weights) {
  std::fill(weights.begin(), weights.end(), 0);
  for (std::size_t i = 0; i < weights.size(); ++i) ++weights[((random() >> 32) * weights.size()) >> 32];
}

std::optional<Estimate> estimate(double value, const std::vector<double>& resampled) {
  if (std::isnan(value)) return std::nullopt;
  return Estimate{value, interval(resampled)};
}

std::optional<RowEstimate> row_estimate(const std::vector<TaskSamples>& strata, const TaskIndices& tasks,
                                        std::size_t row, const Figures& figures, const Resampled& resampled) {
  const auto mean = estimate(figures.mean, resampled.mean);
  if (!mean) return std::nullopt;
  RowEstimate result{.mean = *mean,
                     .share = estimate(figures.share, resampled.share),
                     .lead = estimate(figures.lead, resampled.lead)};
  for (const std::size_t task : tasks)
    for (const Tally& tally : strata[task][row]) {
      result.n_samples += tally.count > 0;
      result.is_partial = result.is_partial || tally.count == 0;
    }
  return result;
}

}  // namespace

std::vector<std::vector<std::optional<RowEstimate>>> bootstrap(const std::vector<TaskSamples>& strata,
                                                               const std::vector<TaskIndices>& columns,
                                                               const std::vector<Comparison>& comparisons,
                                                               const BootstrapOptions& options) {
  const std::size_t n_rows = comparisons.size();
  std::vector<Weights> weights;
  for (const TaskSamples& stratum : strata) weights.emplace_back(n_samples(stratum), 1.0);
  const auto all_means = [&] {
    std::vector<std::vector<RowMeans>> means;
    for (std::size_t s = 0; s < strata.size(); ++s)
      means.push_back(row_means(strata[s], comparisons, weights[s]));
    return means;
  };

  const auto measured = all_means();
  std::vector<std::vector<Resampled>> resampled(columns.size(), std::vector<Resampled>(n_rows));
  std::mt19937_64 random(options.seed);
  for (std::size_t i = 0; i < options.n_resamples; ++i) {
    for (Weights& stratum : weights) draw(random, stratum);
    const auto means = all_means();
    for (std::size_t c = 0; c < columns.size(); ++c)
      for (std::size_t row = 0; row < n_rows; ++row) resampled[c][row].add(figures(means, columns[c], row));
  }

  std::vector<std::vector<std::optional<RowEstimate>>> result(columns.size());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    // Resamples of a single sample are all the same, and say nothing about the error.
    const bool can_resample = std::all_of(columns[c].begin(), columns[c].end(),
                                          [&](std::size_t task) { return n_samples(strata[task]) > 1; });
    for (std::size_t row = 0; row < n_rows; ++row)
      result[c].push_back(row_estimate(strata, columns[c], row, figures(measured, columns[c], row),
                                       can_resample ? resampled[c][row] : Resampled()));
  }
  return result;
}

}  // namespace chunkkv::report
