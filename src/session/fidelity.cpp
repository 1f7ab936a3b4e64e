#include <chunkkv/fidelity.h>

#include <chunkkv/metrics.h>

#include "metrics/distributions.h"

#include <algorithm>
#include <cmath>

namespace chunkkv {
namespace {

/// Whether layer and KV head keep an entry, by list of the kept set: [list][entry].
class KeptFlags {
 public:
  KeptFlags(const LayerKept& kept, std::int32_t n_entries) {
    for (const auto& list : kept.heads) {
      flags_.emplace_back(std::size_t(n_entries));
      for (const std::int32_t entry : list) flags_.back()[std::size_t(entry)] = 1;
    }
  }
  const std::vector<std::uint8_t>& head(std::size_t h) const { return flags_[flags_.size() == 1 ? 0 : h]; }

 private:
  std::vector<std::vector<std::uint8_t>> flags_;
};

/// What is summed of one plan and layer while the answer's attention is seen.
struct AttentionTotals {
  double cosine = 0, mass = 0;
  std::int64_t n = 0;  ///< rows
};

void add_rows(AttentionTotals& totals, const AttentionRows& rows, const KeptFlags& kept,
              std::int32_t n_prompt, std::int32_t n_head_kv) {
  const auto n = std::size_t(rows.n_entries);
  for (std::int32_t head = 0; head < rows.n_head; ++head) {
    const auto& keeps = kept.head(std::size_t(head / (rows.n_head / n_head_kv)));
    for (std::int32_t query = 0; query < rows.n_queries; ++query) {
      const float* a =
          rows.weights.data() + (std::size_t(head) * std::size_t(rows.n_queries) + std::size_t(query)) * n;
      double all = 0, seen = 0, prompt = 0, mass = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const double square = double(a[i]) * a[i];
        const bool in_prompt = i < std::size_t(n_prompt);
        all += square;
        if (!in_prompt || keeps[i]) seen += square;
        if (!in_prompt) continue;
        prompt += a[i];
        if (keeps[i]) mass += a[i];
      }
      totals.cosine += all > 0 ? std::sqrt(seen / all) : 1;
      totals.mass += prompt > 0 ? mass / prompt : 1;
      ++totals.n;
    }
  }
}

double dropped_share(std::span<const float> magnitudes, const KeptFlags& kept, std::int32_t n_entries) {
  const auto n = std::size_t(n_entries);
  double all = 0, dropped = 0;
  for (std::size_t i = 0; i < magnitudes.size(); ++i) {
    all += magnitudes[i];
    if (!kept.head(i / n)[i % n]) dropped += magnitudes[i];
  }
  return all > 0 ? dropped / all : 0;
}

/// The full cache's greedy answer and, after each of its tokens, the log-probabilities of the next.
struct Answer {
  std::vector<Token> tokens;
  std::vector<std::vector<float>> predictions;
};

Answer answer_of(Session& session, std::int32_t n_tokens) {
  Answer answer;
  std::span<const float> logits = session.logits();
  while (std::int32_t(answer.tokens.size()) < n_tokens) {
    const auto best = Token(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (session.model().is_end(best) && !answer.tokens.empty()) break;
    answer.tokens.push_back(best);
    logits = session.decode(best);
  }
  return answer;
}

}  // namespace

std::vector<Fidelity> measure_fidelity(Session& session, std::span<const Token> prompt,
                                       std::span<const Plan> plans, const FidelityOptions& options) {
  if (session.n_entries() > 0) throw UsageError("fidelity is measured in an empty sequence; clear it first");
  const auto n = std::int32_t(prompt.size());
  const CacheUse use = session.use();
  if (n + options.n_tokens > use.cells_allocated - use.cells_used)
    throw UsageError("a prompt of " + std::to_string(n) + " and an answer of " +
                     std::to_string(options.n_tokens) + " tokens do not fit into " +
                     std::to_string(use.cells_allocated - use.cells_used) + " free cells");
  session.prefill(prompt, plans, options.progress);
  std::vector<Selection> chosen;
  std::vector<std::vector<KeptFlags>> kept(plans.size());
  const std::int32_t n_layer = session.model().info().n_layer;
  const std::int32_t n_head_kv = session.model().info().n_head_kv;
  for (std::size_t p = 0; p < plans.size(); ++p) {
    chosen.push_back(session.selection(p));
    for (const LayerKept& layer : chosen[p].layers) kept[p].emplace_back(layer, n);
  }

  std::vector<Fidelity> results(plans.size());
  for (std::int32_t layer = 0; layer < n_layer; ++layer) {
    const std::vector<float> magnitudes = session.magnitudes(layer);
    for (std::size_t p = 0; p < plans.size(); ++p)
      results[p].kv_l1.push_back(dropped_share(magnitudes, kept[p][std::size_t(layer)], n));
  }
  const Snapshot full = session.snapshot();
  Answer answer = answer_of(session, options.n_tokens);
  session.truncate(n);

  std::vector<std::vector<AttentionTotals>> totals(plans.size(),
                                                   std::vector<AttentionTotals>(std::size_t(n_layer)));
  session.evaluate(
      answer.tokens,
      [&](std::size_t, std::span<const float> logits) { answer.predictions.push_back(log_softmax(logits)); },
      [&](const AttentionRows& rows) {
        for (std::size_t p = 0; p < plans.size(); ++p)
          add_rows(totals[p][std::size_t(rows.layer)], rows, kept[p][std::size_t(rows.layer)], n, n_head_kv);
      });

  for (std::size_t p = 0; p < plans.size(); ++p) {
    Fidelity& f = results[p];
    f.n_entries = n;
    f.n_kept = chosen[p].n_kept;
    f.n_tokens = std::int32_t(answer.tokens.size());
    f.similarity = layer_similarity(chosen[p].layers);
    f.adjacent_similarity = adjacent_similarity(f.similarity, std::size_t(n_layer));
    for (const AttentionTotals& t : totals[p]) {
      f.attention_cosine.push_back(t.cosine / double(t.n));
      f.attention_mass.push_back(t.mass / double(t.n));
    }
    session.restore(full);
    session.compress(chosen[p]);
    Session& kept_session = options.kept != nullptr ? *options.kept : session;
    if (options.kept != nullptr) kept_session.restore(kept_session.converted(session.snapshot()));
    kept_session.evaluate(answer.tokens, [&](std::size_t i, std::span<const float> logits) {
      const std::vector<float> prediction = log_softmax(logits);
      f.kl += kl_divergence(answer.predictions[i], prediction);
      f.top1 += double(most_likely(answer.predictions[i]) == most_likely(prediction));
    });
    f.kl /= f.n_tokens;
    f.top1 /= f.n_tokens;
  }
  session.clear();
  if (options.kept != nullptr) options.kept->clear();
  return results;
}

}  // namespace chunkkv
