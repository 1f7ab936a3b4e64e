#include <chunkkv/fidelity.h>

#include <chunkkv/metrics.h>

#include "metrics/distributions.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

/// The queries of the first `after` tokens saw everything.
void add_rows(AttentionTotals& totals, const AttentionRows& rows, const KeptFlags& kept,
              std::int32_t n_prompt, std::int32_t n_head_kv, std::int32_t after) {
  const auto n = std::size_t(rows.n_entries);
  for (std::int32_t head = 0; head < rows.n_head; ++head) {
    const auto& keeps = kept.head(std::size_t(head / (rows.n_head / n_head_kv)));
    for (std::int32_t query = 0; query < rows.n_queries; ++query) {
      if (rows.first_query + query < after) {
        ++totals.cosine, ++totals.mass, ++totals.n;
        continue;
      }
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

/// What a plan would keep: everything where the answer ended before it chose.
std::vector<LayerKept> kept_by(const Session& session, std::size_t plan, std::int32_t n_entries) {
  if (session.has_chosen(plan)) return session.selection(plan).layers;
  std::vector<std::int32_t> all(static_cast<std::size_t>(n_entries));
  std::iota(all.begin(), all.end(), 0);
  std::vector<LayerKept> layers;
  for (std::int32_t layer = 0; layer < session.model().info().n_layer; ++layer)
    layers.push_back({layer, {all}});
  return layers;
}

/// Adds a prediction to a plan's means.
void compare(Fidelity& f, std::size_t index, const FidelityOptions& options, const std::vector<float>& full,
             std::span<const float> logits) {
  const std::vector<float> prediction = log_softmax(logits);
  const double kl = kl_divergence(full, prediction);
  const auto same = double(most_likely(full) == most_likely(prediction));
  f.kl += kl;
  f.top1 += same;
  if (std::int32_t(index) < options.skip) return;
  ++f.n_rest;
  f.kl_rest += kl;
  f.top1_rest += same;
}

void divide(Fidelity& f) {
  f.kl /= f.n_tokens;
  f.top1 /= f.n_tokens;
  if (f.n_rest == 0) return;
  f.kl_rest /= f.n_rest;
  f.top1_rest /= f.n_rest;
}

}  // namespace

std::vector<Fidelity> measure_fidelity(Session& session, std::span<const Token> prompt,
                                       std::span<const Plan> plans, const FidelityOptions& options) {
  if (session.n_entries() > 0) throw UsageError("fidelity is measured in an empty sequence; clear it first");
  if (options.n_tokens < 1) throw UsageError("fidelity is measured along an answer of at least one token");
  if (options.kept == &session) throw UsageError("what is kept is measured in a session of its own");
  const auto n = std::int32_t(prompt.size());
  const CacheUse use = session.use();
  if (std::int64_t(n) + options.n_tokens > use.cells_allocated - use.cells_used)
    throw UsageError("a prompt of " + std::to_string(n) + " and an answer of " +
                     std::to_string(options.n_tokens) + " tokens do not fit into " +
                     std::to_string(use.cells_allocated - use.cells_used) + " free cells");
  session.prefill(prompt, plans, options.progress);
  const std::int32_t n_layer = session.model().info().n_layer;
  const std::int32_t n_head_kv = session.model().info().n_head_kv;
  const Snapshot full = session.snapshot();
  Answer answer = answer_of(session, options.n_tokens);
  session.truncate(n);

  std::vector<Fidelity> results(plans.size());
  std::vector<Selection> chosen(plans.size());
  std::vector<std::vector<KeptFlags>> kept(plans.size());
  for (std::size_t p = 0; p < plans.size(); ++p) {
    const bool has_chosen = session.has_chosen(p);
    if (has_chosen) chosen[p] = session.selection(p);
    chosen[p].layers = kept_by(session, p, n);
    results[p].n_kept = has_chosen ? chosen[p].n_kept : n;
    results[p].after = has_chosen ? chosen[p].after : -1;
    for (const LayerKept& layer : chosen[p].layers) kept[p].emplace_back(layer, n);
  }
  for (std::int32_t layer = 0; layer < n_layer; ++layer) {
    const std::vector<float> magnitudes = session.magnitudes(layer);
    for (std::size_t p = 0; p < plans.size(); ++p)
      results[p].kv_l1.push_back(dropped_share(magnitudes, kept[p][std::size_t(layer)], n));
  }

  std::vector<std::vector<AttentionTotals>> totals(plans.size(),
                                                   std::vector<AttentionTotals>(std::size_t(n_layer)));
  session.evaluate(
      answer.tokens,
      [&](std::size_t, std::span<const float> logits) { answer.predictions.push_back(log_softmax(logits)); },
      [&](const AttentionRows& rows) {
        for (std::size_t p = 0; p < plans.size(); ++p)
          add_rows(totals[p][std::size_t(rows.layer)], rows, kept[p][std::size_t(rows.layer)], n, n_head_kv,
                   results[p].after);
      });

  for (std::size_t p = 0; p < plans.size(); ++p) {
    Fidelity& f = results[p];
    f.n_entries = n;
    f.n_tokens = std::int32_t(answer.tokens.size());
    f.similarity = layer_similarity(chosen[p].layers);
    f.adjacent_similarity = adjacent_similarity(f.similarity, std::size_t(n_layer));
    for (const AttentionTotals& t : totals[p]) {
      f.attention_cosine.push_back(t.cosine / double(t.n));
      f.attention_mass.push_back(t.mass / double(t.n));
    }
    // An answer that ended before the plan chose is the full cache's.
    const auto n_whole = f.after < 0 ? answer.tokens.size() : std::size_t(f.after);
    const std::span<const Token> tokens(answer.tokens);
    const auto compare_from = [&](std::size_t first) {
      return [&, first](std::size_t i, std::span<const float> logits) {
        compare(f, first + i, options, answer.predictions[first + i], logits);
      };
    };
    session.restore(full);
    if (n_whole > 0) session.evaluate(tokens.first(n_whole), compare_from(0));
    if (n_whole < tokens.size()) {
      session.compress(chosen[p]);
      Session& kept_session = options.kept != nullptr ? *options.kept : session;
      if (options.kept != nullptr) kept_session.restore(kept_session.converted(session.snapshot()));
      kept_session.evaluate(tokens.subspan(n_whole), compare_from(n_whole));
    }
    divide(f);
  }
  session.clear();
  if (options.kept != nullptr) options.kept->clear();
  return results;
}

}  // namespace chunkkv
