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

/// The part of a prompt that is read before compression.
enum class Query : std::uint8_t {
  aware,     ///< the document and the first question
  agnostic,  ///< the document; each question is read into the compressed cache
};

struct SweepOptions {
  Query query = Query::aware;
  /// Prompts are read in pieces in so many cells, by a reading for each pair; 0: they are read whole.
  std::int32_t n_cells = 0;
  ObserverKind observer = ObserverKind::question;  ///< for prompts read in pieces
  /// Each further question follows the compressed cache instead of the previous answer.
  bool separate_questions = false;
  bool use_template = true;    ///< use the model's chat template for samples that want one
  std::int32_t n_predict = 0;  ///< tokens of an answer; 0: as the sample says
  /// While an answer is generated, its cache is compressed to the budget whenever it has grown by so many
  /// tokens beyond it; 0: it grows.
  std::int32_t buffer = 0;
  /// So many pairs of a sample are answered together, each in its own sequence; sessions must be opened with
  /// as many. The cache must hold what all these pairs keep, and answers differ by the rounding of a batch.
  std::int32_t parallel = 1;
  text::Sampling sampling = {};
  std::function<bool()> interrupted = {};  ///< asked between tokens; true stops with Interrupted
};

/// One answer with its times, its numbers of tokens and the bytes of its cache.
struct Outcome : results::AnswerCost {
  std::size_t pair = 0;
  std::size_t question = 0;
  text::Answer answer;
};

struct SweepEvents {
  Progress reading = {};
  std::function<void(const Outcome&)> answered;
};

/// Answers samples under every pair of method and budget. A sample is read once for all pairs that read it
/// whole; before each of them compresses, the full cache is restored from host memory. First tokens that the
/// next sample has too, such as the same worked examples, are not read again.
class Sweep {
 public:
  using OpenSession = std::function<std::unique_ptr<Session>(std::int32_t n_cells)>;

  /// `open` opens a cache. `open_kept`, where given, opens one of other types: what a pair keeps is converted
  /// into it, and answers come from there. UsageError for a pair that cannot be converted or cannot compress
  /// while answering, where that is asked for, and for `parallel` together with either.
  Sweep(std::shared_ptr<Model> model, OpenSession open, std::vector<Plan> pairs, SweepOptions options,
        OpenSession open_kept = {});

  const std::vector<Plan>& pairs() const { return pairs_; }
  const SweepOptions& options() const { return options_; }
  const Model& model() const { return *model_; }
  /// Tokens of an answer at most.
  std::int32_t n_predict(const Sample& sample) const;
  /// Cells in which `pair` is read in pieces; 0: it is read whole.
  std::int32_t n_cells(std::size_t pair) const;

  /// Groups `pairs` by reading: the pairs of one inner list share one.
  std::vector<std::vector<std::size_t>> readings(std::span<const std::size_t> pairs) const;

  struct Size {
    std::int32_t prompt = 0;  ///< tokens that are read before compression
    std::int32_t rest = 0;    ///< tokens of questions and answers after the prompt, at most
    std::int32_t last = 0;    ///< part of `rest` for the last answer, which alone may be cut short
  };
  /// How many tokens the sample has. UsageError when it cannot be read as the options say.
  Size size(const Sample& sample) const;
  /// Cells that a sample of this size needs under `pairs`.
  std::int32_t n_cells(const Size& size, std::span<const std::size_t> pairs) const;

  /// Opens a cache of at least `n_cells` cells, so that samples of growing size do not each open a new one.
  void reserve(std::int32_t n_cells);

  /// Answers the sample's questions under `pairs`, which must share a reading (see `readings`). UsageError
  /// when a plan does not fit the prompt or its cells; Interrupted when asked to stop. `next` is the sample
  /// that will be run after this one, if it is known.
  void run(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
           const Sample* next = nullptr);

 private:
  void run_shared(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
                  const Sample* next);
  void run_bounded(const Sample& sample, std::size_t pair, const SweepEvents& events);
  /// Reads `tokens` for `plans`, after `beginning_` where they continue it, and copies what `next` shares.
  void read(std::span<const Token> tokens, std::span<const Plan> plans, const Sample* next,
            const Progress& progress);
  /// The session that answers: `kept_`, into which the cache of `session_` is converted, or else `session_`.
  Session& prepare_answering_session();

  /// The first `count` tokens of the answer, from the full cache, for all pairs that observe as many.
  struct FirstTokens {
    std::int32_t count = 0;
    text::Answer answer;  ///< paused after these tokens; otherwise it ended before
    text::Sampler sampler;
    std::vector<float> logits;  ///< logits after these tokens
    Checkpoint end;

    bool is_paused() const { return answer.stop == text::Stop::pause; }
  };
  /// How many first tokens of the answer `plan` observes.
  std::int32_t n_observed_answer_tokens(const Plan& plan) const;
  /// Generates the first tokens, on the session that has read the prompt, for each of `counts`, which ascend.
  std::vector<FirstTokens> first_tokens(const Sample& sample, std::span<const float> logits,
                                        std::span<const std::int32_t> counts);
  text::GenerateOptions generate_options(const Sample& sample) const;

  /// A pair whose compressed cache is ready to answer.
  struct Slot {
    Outcome outcome;
    SequenceId sequence = 0;
    const FirstTokens* first = nullptr;  ///< first tokens of the answer, which are generated already; or null
    std::int32_t n_kept = 0;             ///< entries kept of the prompt
    Checkpoint compressed = {};          ///< after the compressed prompt, where more questions follow
    Checkpoint before_answer = {};       ///< after the question asked last, where more questions follow
    std::vector<float> logits = {};      ///< from which the answer's first token is chosen
    /// Where the cache holds `first` too: restores the compressed prompt alone in the session that answers.
    std::function<Session&()> rewind = {};
  };
  /// The sample's full cache and what the plans chose, for pairs that share a reading.
  struct SampleReading {
    std::vector<Selection> selections;  ///< by pair; no layers where the answer ended before the plan chose
    std::vector<FirstTokens> first;
    std::optional<Snapshot> full;
    Checkpoint prompt_end;
    bool in_session = true;  ///< sequence 0 still holds the full cache

    const FirstTokens* first_of(std::int32_t count) const;
  };
  /// Restores the full cache in the slot's sequence and compresses it by plan `index` of `plans`.
  void prepare_slot(Slot& slot, SampleReading& reading, std::span<const Plan> plans, std::size_t index,
                    bool is_asked_again);
  void answer(const Sample& sample, const PromptTokens& tokens, std::span<const float> logits,
              std::vector<Slot> slots, const SweepEvents& events);
  void ask(Session& session, const PromptTokens& tokens, std::size_t question, std::size_t n_questions,
           std::span<const float> logits, Slot& slot);
  /// The tokens that are read before compression.
  std::vector<Token> prompt(const Sample& sample, const PromptTokens& tokens) const;

  std::shared_ptr<Model> model_;
  OpenSession open_;
  std::vector<Plan> pairs_;
  SweepOptions options_;
  OpenSession open_kept_;
  std::unique_ptr<Session> session_, kept_;
  Snapshot beginning_;  ///< beginning that a sample shares with the next one; no entries: none
  std::int32_t n_reserved_ = 0;
};

}  // namespace chunkkv::eval
