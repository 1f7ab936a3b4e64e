#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace chunkkv::report {

/// 95 % of the resampled values lie between these.
struct Interval {
  double low = 0;
  double high = 0;
};

/// A figure with its interval; no interval where there are too few samples to resample.
struct Estimate {
  double value = 0;
  std::optional<Interval> interval;
};

/// The values of one sample in one row: several questions on a document are asked of one sample, and are
/// not independent of each other.
struct Tally {
  double sum = 0;
  double count = 0;

  void add(double value) {
    sum += value;
    ++count;
  }
};

/// The samples of one task, which are a stratum: [row][sample]. A row is a method with a budget. A tally
/// without values means that the row lacks the sample.
using TaskSamples = std::vector<std::vector<Tally>>;

/// The tasks of a figure, which is the mean of the tasks' means.
using TaskIndices = std::vector<std::size_t>;  ///< indices of strata

/// What a row is compared with.
struct Comparison {
  std::optional<std::size_t> reference;  ///< the row of the full cache
  std::optional<std::size_t> baseline;   ///< the row of another method with the same budget
};

/// The figures of a row in one column.
struct RowEstimate {
  Estimate mean;
  std::optional<Estimate> share;  ///< mean over the reference's mean, on the samples that both have
  std::optional<Estimate> lead;   ///< mean less the baseline's mean, on the samples that both have
  std::size_t n_samples = 0;
  bool is_partial = false;  ///< some samples of the column's tasks are missing in the row
};

struct BootstrapOptions {
  std::size_t n_resamples = 2000;
  std::uint64_t seed = 20260101;
};

/// Percentile bootstrap, paired by sample: each resample draws as many samples as there are from every task,
/// with replacement, and all rows see the same draw. So what samples have in common (hard ones, easy
/// ones) cancels out of shares and leads.
///
/// `comparisons` has one entry a row. Returns [column][row]; none where a row lacks a whole task of the
/// column. The same input gives the same figures on every machine.
std::vector<std::vector<std::optional<RowEstimate>>> bootstrap(const std::vector<TaskSamples>& strata,
                                                               const std::vector<TaskIndices>& columns,
                                                               const std::vector<Comparison>& comparisons,
                                                               const BootstrapOptions& options = {});

}  // namespace chunkkv::report
