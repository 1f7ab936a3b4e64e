#pragma once

#include "benchmark.h"
#include "results/answer.h"
#include "runner/prompt_tokens.h"
#include "text/generate.h"

#include <chunkkv/session.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace chunkkv::eval {

/// What compression sees.
enum class Query : std::uint8_t {
  aware,     ///< document and first question
  agnostic,  ///< the document; every question is read into the compressed cache
};

struct SweepOptions {
  Query query = Query::aware;
  std::int32_t n_cells =
      0;  ///< bounded prefill in so many cells, each pair by a reading of its own; 0: without
  ObserverKind observer = ObserverKind::question;  ///< of bounded prefill
  /// Each further question follows the compressed cache instead of the answer before.
  bool separate_questions = false;
  bool use_template = true;    ///< the model's chat template, for samples that want one
  std::int32_t n_predict = 0;  ///< tokens of an answer; 0: as the sample says
  /// While an answer is generated its cache is cut back to the budget whenever it has grown by so many
  /// tokens; 0: it grows.
  std::int32_t buffer = 0;
  /// So many pairs of a sample are answered together, each in a sequence of its own: the sessions opened must
  /// have as many. Costs memory for what all of them keep, and answers differ by the rounding of a batch.
  std::int32_t parallel = 1;
  text::Sampling sampling = {};
  std::function<bool()> interrupted = {};  ///< asked between tokens
};

/// One answer and what it cost.
struct Outcome : results::AnswerCost {
  std::size_t pair = 0;
  std::size_t question = 0;
  text::Answer answer;
};

struct SweepEvents {
  Progress reading = {};
  std::function<void(const Outcome&)> answered;
};

/// Answers samples from one cache under every pair of method and budget. A sample is read once; before a
/// pair compresses, the full cache comes back from host memory. Where the next sample begins with the same
/// tokens, as the same worked examples, they are not read again.
class Sweep {
 public:
  using OpenSession = std::function<std::unique_ptr<Session>(std::int32_t n_cells)>;

  /// `open_kept`, where given, opens a cache of other types: what a pair keeps is converted into it, and
  /// answers come from there. UsageError for a pair that cannot be converted, or not while answering.
  Sweep(std::shared_ptr<Model> model, OpenSession open, std::vector<Plan> pairs, SweepOptions options,
        OpenSession open_kept = {});

  const std::vector<Plan>& pairs() const { return pairs_; }
  const SweepOptions& options() const { return options_; }
  const Model& model() const { return *model_; }
  /// Cells in which `pair` is read in pieces; 0: it is read whole.
  std::int32_t n_cells(std::size_t pair) const;

  /// The pairs that share a reading: those of one inner list.
  std::vector<std::vector<std::size_t>> readings(std::span<const std::size_t> pairs) const;

  struct Size {
    std::int32_t prompt = 0;  ///< tokens that are read before compression
    std::int32_t rest = 0;    ///< of questions and answers after it, at most
    std::int32_t last = 0;    ///< of the last answer, which alone may be cut short
  };
  /// UsageError when the sample cannot be read as the options say.
  Size size(const Sample& sample) const;
  /// Cells that a sample of this size needs under `pairs`.
  std::int32_t n_cells(const Size& size, std::span<const std::size_t> pairs) const;

  /// Opens a cache of at least `n_cells`, so that samples of growing size need no new one each.
  void reserve(std::int32_t n_cells);

  /// Answers the sample's questions under `pairs`, which share a reading. UsageError when a plan does not fit
  /// the prompt or its cells; Interrupted when asked to stop. `next` is the sample that will be run after
  /// this one, if it is known.
  void run(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
           const Sample* next = nullptr);

 private:
  void run_shared(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
                  const Sample* next);
  void run_bounded(const Sample& sample, std::size_t pair, const SweepEvents& events);
  /// Reads `tokens` for `plans`, starting from `beginning_`, and keeps what `next` has in common with them.
  void read(std::span<const Token> tokens, std::span<const Plan> plans, const Sample* next,
            const Progress& progress);
  /// The session that answers, holding what `session_` kept.
  Session& hand_over();

  /// The first tokens of the answer, from the whole cache, for all pairs that observe as many.
  struct FirstTokens {
    std::int32_t count = 0;
    text::Answer answer;  ///< ended before that where it is not paused
    text::Sampler sampler;
    std::vector<float> logits;  ///< after them
    Checkpoint end;

    bool are_all() const { return answer.stop == text::Stop::pause; }
  };
  /// How many of them `plan` observes.
  std::int32_t n_observed(const Plan& plan) const;
  /// Generates them on the session that has read the prompt; `counts` ascend.
  std::vector<FirstTokens> first_tokens(const Sample& sample, std::span<const float> logits,
                                        std::span<const std::int32_t> counts);
  text::GenerateOptions generate_options(const Sample& sample) const;

  /// A pair whose compressed cache is ready to answer.
  struct Slot {
    Outcome outcome;
    SequenceId sequence = 0;
    const FirstTokens* first = nullptr;  ///< in the cache already
    std::int32_t n_kept = 0;             ///< entries of the prompt
    Checkpoint compressed = {};          ///< the prompt as it is kept, where it is asked again
    Checkpoint before_answer = {};       ///< likewise, with the questions and answers before
    std::vector<float> logits = {};      ///< that the answer follows
    /// Puts the compressed prompt without an answer in the slot's place, where `first` is in the cache.
    std::function<Session&()> rewind = {};
  };
  /// The sample as it was read, for pairs that share that.
  struct Whole {
    std::vector<Selection> selections;  ///< by pair; without layers where the answer ended before it chose
    std::vector<FirstTokens> first;
    std::optional<Snapshot> full;
    Checkpoint prompt_end;
    bool in_session = true;  ///< sequence 0 still holds the reading

    const FirstTokens* first_of(std::int32_t count) const;
  };
  /// Compresses for pair `index` of `plans` in its own sequence.
  void open_slot(Slot& slot, Whole& whole, std::span<const Plan> plans, std::size_t index,
                 bool is_asked_again);
  void answer(const Sample& sample, const PromptTokens& tokens, std::span<const float> logits,
              std::vector<Slot> slots, const SweepEvents& events);
  void ask(Session& session, const PromptTokens& tokens, std::size_t question, std::size_t n_questions,
           std::span<const float> logits, Slot& slot);
  /// What is read before compression.
  std::vector<Token> prompt(const Sample& sample, const PromptTokens& tokens) const;
  std::int32_t n_predict(const Sample& sample) const;

  std::shared_ptr<Model> model_;
  OpenSession open_;
  std::vector<Plan> pairs_;
  SweepOptions options_;
  OpenSession open_kept_;
  std::unique_ptr<Session> session_, kept_;
  Snapshot beginning_;  ///< of the sample before; no entries: none
  std::int32_t n_reserved_ = 0;
};

}  // namespace chunkkv::eval
