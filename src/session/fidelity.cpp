#include <chunkkv/fidelity.h>

#include <chunkkv/metrics.h>
#include <chunkkv/session.h>

#include "metrics/distributions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace chunkkv {
namespace {

/// Which entries one layer keeps, as flags by list of its kept set: [list][entry].
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

/// Sums for one plan and layer over the attention rows of the answer.
struct AttentionTotals {
  double cosine = 0, mass = 0;
  std::int64_t n = 0;  ///< number of rows
};

/// Adds rows to the totals. Rows of the question's `n_asked` tokens do not count; those of the `after` tokens
/// that follow saw the full cache and count as 1.
void add_rows(AttentionTotals& totals, const AttentionRows& rows, const KeptFlags& kept,
              std::int32_t n_prompt, std::int32_t n_asked, std::int32_t after) {
  const auto n = std::size_t(rows.n_entries);
  for (std::int32_t head = 0; head < rows.n_head; ++head) {
    const auto& keeps = kept.head(std::size_t(head / (rows.n_head / rows.n_head_kv)));
    for (std::int32_t query = 0; query < rows.n_queries; ++query) {
      if (rows.first_query + query < n_asked) continue;
      if (rows.first_query + query < n_asked + after) {
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

/// The question, which may be empty, and the full cache's greedy answer to it.
struct Answer {
  std::vector<Token> tokens;
  std::size_t n_asked = 0;
  /// Log-probabilities after each token from `first()` on; empty before.
  std::vector<std::vector<float>> predictions;

  std::size_t first() const { return n_asked > 0 ? n_asked - 1 : 0; }  ///< first prediction that is compared
};

Answer answer_of(Sequence& sequence, std::span<const Token> question, std::int32_t n_tokens) {
  Answer answer;
  answer.tokens.assign(question.begin(), question.end());
  answer.n_asked = question.size();
  const std::size_t end = question.size() + std::size_t(n_tokens);
  std::span<const float> logits = sequence.session().logits();
  while (answer.tokens.size() < end) {
    const auto best = Token(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (sequence.session().model().is_end(best) && !answer.tokens.empty()) break;
    answer.tokens.push_back(best);
    logits = sequence.decode(best);
  }
  return answer;
}

/// The kept sets of a plan when the answer ended before it chose: all entries.
std::vector<LayerKept> everything(std::int32_t n_layer, std::int32_t n_entries) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(n_entries));
  std::iota(all.begin(), all.end(), 0);
  std::vector<LayerKept> layers;
  for (std::int32_t layer = 0; layer < n_layer; ++layer) layers.push_back({layer, {all}});
  return layers;
}

/// Adds a prediction to the sums from which a plan's means are made.
void compare(Fidelity& f, std::size_t index, const FidelityOptions& options, const std::vector<float>& full,
             std::span<const float> logits) {
  const std::vector<float> prediction = log_softmax(logits);
  const double kl = kl_divergence(full, prediction);
  const auto same = double(most_likely(full) == most_likely(prediction));
  f.kl += kl;
  f.kl_of.push_back(kl);
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

/// What plans chose, and their sums along the answer.
struct Chosen {
  std::vector<Selection> selections;  ///< by plan; all entries where the answer ended before it chose
  std::vector<std::vector<KeptFlags>> kept;
  std::vector<std::vector<AttentionTotals>> totals;
};

void check(const Sequence& sequence, std::int64_t n_prompt, const FidelityOptions& options) {
  if (sequence.n_entries() > 0) throw UsageError("fidelity is measured in an empty sequence; clear it first");
  if (options.n_tokens < 1) throw UsageError("fidelity is measured along an answer of at least one token");
  if (options.kept != nullptr && &options.kept->session() == &sequence.session())
    throw UsageError("what is kept is measured in a session of its own");
  const CacheUse use = sequence.session().use();
  if (n_prompt + options.n_tokens > use.cells_allocated - use.cells_used)
    throw UsageError(fmt::format("a prompt of {} and an answer of {} tokens do not fit into {} free cells",
                                 n_prompt, options.n_tokens, use.cells_allocated - use.cells_used));
}

/// Fills in the kept sets of plans that have not chosen, and the results that kept sets alone determine. The
/// sequence must hold the prompt.
void describe(Sequence& sequence, Chosen& chosen, std::vector<Fidelity>& results, std::int32_t n) {
  const std::int32_t n_layer = sequence.session().n_layers();
  for (std::size_t p = 0; p < results.size(); ++p) {
    Selection& selection = chosen.selections[p];
    Fidelity& f = results[p];
    const bool has_chosen = !selection.layers.empty();
    if (!has_chosen) selection.layers = everything(n_layer, n);
    f.n_entries = n;
    f.n_kept = has_chosen ? selection.n_kept : n;
    f.after = has_chosen ? selection.after : -1;
    f.similarity = layer_similarity(selection.layers);
    f.adjacent_similarity = adjacent_similarity(f.similarity, std::size_t(n_layer));
    for (const LayerKept& layer : selection.layers) chosen.kept[p].emplace_back(layer, n);
  }
  for (std::int32_t layer = 0; layer < n_layer; ++layer) {
    const std::vector<float> magnitudes = sequence.magnitudes(layer);
    for (std::size_t p = 0; p < results.size(); ++p)
      results[p].kv_l1.push_back(dropped_share(magnitudes, chosen.kept[p][std::size_t(layer)], n));
  }
}

/// Reads question and answer again with the full cache, for their predictions and attention.
void read_again(Sequence& sequence, Answer& answer, Chosen& chosen, const std::vector<Fidelity>& results,
                std::int32_t n) {
  chosen.totals.assign(results.size(),
                       std::vector<AttentionTotals>(std::size_t(sequence.session().n_layers())));
  sequence.evaluate(
      answer.tokens,
      [&](std::size_t i, std::span<const float> logits) {
        answer.predictions.push_back(i < answer.first() ? std::vector<float>{} : log_softmax(logits));
      },
      [&](const AttentionRows& rows) {
        for (std::size_t p = 0; p < results.size(); ++p)
          add_rows(chosen.totals[p][std::size_t(rows.layer)], rows, chosen.kept[p][std::size_t(rows.layer)],
                   n, std::int32_t(answer.n_asked), results[p].after);
      });
}

/// Compares predictions along the answer with those of a compressed cache; the sequence holds the full one.
void compare_answer(Sequence& sequence, const Answer& answer, const Selection& selection, Fidelity& f,
                    const FidelityOptions& options) {
  const std::span<const Token> tokens(answer.tokens);
  f.n_tokens = std::int32_t(tokens.size() - answer.first());
  // When the answer ended before the plan chose, all of it is from the full cache.
  const std::size_t n_whole = f.after < 0 ? tokens.size() : std::size_t(f.after);
  const auto compare_from = [&](std::size_t begin) {
    return [&, begin](std::size_t i, std::span<const float> logits) {
      if (begin + i >= answer.first())
        compare(f, begin + i - answer.first(), options, answer.predictions[begin + i], logits);
    };
  };
  if (n_whole > 0) sequence.evaluate(tokens.first(n_whole), compare_from(0));
  if (n_whole < tokens.size()) {
    sequence.compress(selection);
    Sequence& kept = options.kept != nullptr ? *options.kept : sequence;
    if (options.kept != nullptr) kept.restore(kept.session().converted(sequence.snapshot()));
    kept.evaluate(tokens.subspan(n_whole), compare_from(n_whole));
  }
  divide(f);
}

}  // namespace

std::vector<Fidelity> measure_fidelity(Sequence& sequence, std::span<const Token> prompt,
                                       std::span<const Plan> plans, const FidelityOptions& options) {
  const auto n = std::int32_t(prompt.size());
  const bool is_asked = !options.question.empty();
  check(sequence, std::int64_t(n) + std::int64_t(options.question.size()), options);
  std::vector<Plan> own(plans.begin(), plans.end());
  for (Plan& plan : own) plan.at_once = plan.at_once || is_asked;
  sequence.prefill(prompt, own, options.progress);
  const Snapshot full = sequence.snapshot();
  const Checkpoint before_answer = sequence.checkpoint();

  Chosen chosen;
  chosen.selections.resize(plans.size());
  chosen.kept.resize(plans.size());
  const auto take = [&] {
    for (std::size_t p = 0; p < plans.size(); ++p)
      if (sequence.has_chosen(p)) chosen.selections[p] = sequence.selection(p);
  };
  if (is_asked) {
    take();  // reading the question replaces the selections
    sequence.prefill(options.question);
  }
  Answer answer = answer_of(sequence, options.question, options.n_tokens);
  if (!is_asked) take();
  sequence.go_back(before_answer);

  std::vector<Fidelity> results(plans.size());
  describe(sequence, chosen, results, n);
  read_again(sequence, answer, chosen, results, n);
  for (std::size_t p = 0; p < plans.size(); ++p) {
    for (const AttentionTotals& t : chosen.totals[p]) {
      results[p].attention_cosine.push_back(t.cosine / double(std::max<std::int64_t>(t.n, 1)));
      results[p].attention_mass.push_back(t.mass / double(std::max<std::int64_t>(t.n, 1)));
    }
    sequence.restore(full);
    compare_answer(sequence, answer, chosen.selections[p], results[p], options);
  }
  sequence.clear();
  if (options.kept != nullptr) options.kept->clear();
  return results;
}

}  // namespace chunkkv
