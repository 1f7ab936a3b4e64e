#pragma once

#include <chunkkv/plan.h>
#include <chunkkv/sequence.h>

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

/// How close a compressed cache is to the full one. No reference answers are needed.
///
/// Everything is measured along the full cache's own greedy answer, so that all plans predict the same tokens
/// and an early difference does not lead to another text.
struct Fidelity {
  std::int32_t n_entries = 0;  ///< entries of the prompt
  std::int32_t n_kept = 0;     ///< entries that the plan kept, in the layer that keeps most
  std::int32_t n_tokens = 0;   ///< predictions that were compared

  /// Number of first tokens of the answer that the plan observed; the full cache predicted them all. -1: the
  /// answer ended before the plan chose.
  std::int32_t after = 0;

  double kl = 0;    ///< mean KL divergence of the next token's distribution from the full cache's, in nats
  double top1 = 0;  ///< share of the predictions whose most likely token is the full cache's
  std::vector<double> kl_of;  ///< KL divergence of each prediction that was compared, [n_tokens]
  /// The same over all predictions but the first FidelityOptions::skip. Plans that observe the answer's first
  /// tokens take those from the full cache, so they are left out for every plan.
  std::int32_t n_rest = 0;
  double kl_rest = 0;
  double top1_rest = 0;

  // By layer, over all heads; 0 to 1.
  std::vector<double> kv_l1;  ///< L1 loss: sum of |k| and |v| of the dropped entries, divided by that of all
  /// Cosine between a query's attention row in the full cache and the same row with 0 for the dropped
  /// entries: mean over the answer's queries, where those that saw the full cache count as 1.
  std::vector<double> attention_cosine;
  /// Share of the attention to the prompt that the kept entries receive: mean over the same queries.
  std::vector<double> attention_mass;

  std::vector<double> similarity;  ///< `layer_similarity` of the kept sets
  double adjacent_similarity = 0;  ///< `adjacent_similarity` of that matrix
};

struct FidelityOptions {
  std::int32_t n_tokens = 64;  ///< upper limit of the full cache's answer
  /// A question that is read into the compressed cache. The prediction after it and those along the answer to
  /// it are compared. Plans choose before it is read and observe no answer (Plan::at_once). Empty: the model
  /// answers the prompt itself.
  std::span<const Token> question = {};
  std::int32_t skip = 0;   ///< first predictions that `n_rest`, `kl_rest` and `top1_rest` leave out
  Progress progress = {};  ///< called while the prompt is read
  /// The sequence into which the kept entries are restored to be measured. It belongs to another session over
  /// the same model, with other cache types and room for prompt and answer, so that the loss by those types
  /// is measured as well. Null: the sequence that reads.
  Sequence* kept = nullptr;
};

/// Reads `prompt` once into `sequence`, which must be empty, and compares what each plan would keep with
/// the full cache. Costs one prefill, one answer that is generated and read again, and for each plan a
/// restored cache and one more reading of the answer. UsageError as in Sequence::prefill, when `sequence`
/// is not empty, and when prompt, question and answer have no room. Afterwards `sequence` and
/// `options.kept` are empty.
std::vector<Fidelity> measure_fidelity(Sequence& sequence, std::span<const Token> prompt,
                                       std::span<const Plan> plans, const FidelityOptions& options = {});

}  // namespace chunkkv
