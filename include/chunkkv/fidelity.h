#pragma once

#include <chunkkv/plan.h>
#include <chunkkv/sequence.h>

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

/// How near a compressed cache is to the full one, without any answer key.
///
/// Everything is measured on the full cache's own greedy answer: the questions are the same for every plan,
/// and an early difference does not grow into another text.
struct Fidelity {
  std::int32_t n_entries = 0;  ///< of the prompt
  std::int32_t n_kept = 0;
  std::int32_t n_tokens = 0;  ///< predictions that were compared

  /// First tokens of the answer that the plan observed, all predicted by the full cache; -1: the answer ended
  /// before and the plan never chose.
  std::int32_t after = 0;

  double kl = 0;    ///< mean KL divergence of the next token's distribution from the full cache's, in nats
  double top1 = 0;  ///< share of the predictions whose most likely token is the full cache's
  std::vector<double> kl_of;  ///< KL divergence of each prediction that was compared, [n_tokens]
  /// The same without the predictions that come after the first FidelityOptions::skip - 1 tokens or fewer:
  /// what plans that observe the answer's first tokens were given for nothing is left out for all.
  std::int32_t n_rest = 0;
  double kl_rest = 0;
  double top1_rest = 0;

  // By layer, means over heads; 0 to 1.
  std::vector<double> kv_l1;  ///< sum |k|, |v| of the dropped entries over that of all: their mean L1 loss
  /// Cosine of a query's attention row with the full cache's, where the dropped entries have 0; over the
  /// answer's queries; 1 for those that saw the full cache.
  std::vector<double> attention_cosine;
  std::vector<double>
      attention_mass;  ///< share of the attention paid to the prompt that the kept entries get

  std::vector<double> similarity;  ///< of the layers' kept sets, see `layer_similarity`
  double adjacent_similarity = 0;
};

struct FidelityOptions {
  std::int32_t n_tokens = 64;  ///< of the full cache's answer, at most
  /// A question that is read into the compressed cache: what is compared is the prediction after it, and
  /// along the answer to it. Plans choose without knowing it, or an answer (Plan::at_once). Empty: the prompt
  /// is answered.
  std::span<const Token> question = {};
  std::int32_t skip = 0;   ///< first predictions that the rest leaves out
  Progress progress = {};  ///< of reading the prompt
  /// Where what a plan keeps is measured: a sequence of a session over the same model, whose cache has other
  /// types and room for prompt and answer. Then the loss by those types is measured as well. Null: the
  /// sequence that reads.
  Sequence* kept = nullptr;
};

/// Reads `prompt` once into `sequence`, which must be empty and is empty afterwards, and compares what each
/// plan would keep with the full cache. Costs one prefill, an answer, and for each plan a restored
/// cache and one batch. UsageError as in Sequence::prefill, and when the answer has no room. `options.kept`
/// is empty afterwards as well.
std::vector<Fidelity> measure_fidelity(Sequence& sequence, std::span<const Token> prompt,
                                       std::span<const Plan> plans, const FidelityOptions& options = {});

}  // namespace chunkkv
