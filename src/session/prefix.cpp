#include <chunkkv/prefix.h>

#include <chunkkv/error.h>

#include "session/attention_history.h"
#include "session/micro_batches.h"

#include <algorithm>
#include <set>

namespace chunkkv {
namespace {

bool reads_all_queries(const Plan& plan) {
  return plan.method->request().queries == Queries::all;
}

}  // namespace

std::size_t observed_length(const Plan& plan) {
  const ObservationRequest request = plan.method->request();
  return request.queries == Queries::window ? std::size_t(request.window) : 0;
}

std::size_t source_length(std::size_t n_tokens, const Plan& plan, std::int32_t n_ubatch) {
  if (!plan.method) throw UsageError("a source needs a plan with a method");
  return separable_length(n_tokens, observed_length(plan), std::size_t(n_ubatch));
}

std::size_t shared_prefix(std::span<const Token> a, std::span<const Token> b, std::int32_t n_ubatch) {
  const std::size_t n_shorter = std::min(a.size(), b.size());
  const auto differ = std::mismatch(a.begin(), a.begin() + std::ptrdiff_t(n_shorter), b.begin());
  return shared_length(std::size_t(differ.first - a.begin()), n_shorter, std::size_t(n_ubatch));
}

bool continues_prefix(std::span<const Token> prompt, std::span<const Token> prefix, std::int32_t n_ubatch) {
  return prompt.size() >= prefix.size() + std::size_t(n_ubatch) &&
         std::equal(prefix.begin(), prefix.end(), prompt.begin());
}

std::vector<Plan> history_plans(std::span<const Plan> plans) {
  std::vector<Plan> result;
  std::set<std::int32_t> strides;
  for (const Plan& plan : plans) {
    if (!reads_all_queries(plan) || !strides.insert(plan.method->request().stride).second) continue;
    // These plans only observe: any budget will do.
    result.emplace_back();
    result.back().method = plan.method;
    result.back().at_once = true;
  }
  return result;
}

Snapshot prefix_snapshot(const Sequence& sequence, std::span<const Plan> collected) {
  Snapshot snapshot = sequence.snapshot();
  if (collected.empty()) snapshot.attention.clear();
  return snapshot;
}

bool has_history(const Snapshot& prefix, const Plan& plan) {
  return !reads_all_queries(plan) ||
         prefix.attention.contains(AttentionHistory::key(0, plan.method->request().stride));
}

}  // namespace chunkkv
