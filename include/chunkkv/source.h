#pragma once

#include <chunkkv/plan.h>
#include <chunkkv/prefix.h>
#include <chunkkv/sequence.h>

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

/// A document kept whole in host memory, so that every question about it gets a selection of its own: what
/// was dropped for the first question is there again for the second. The document is read once.
///
/// The copy leaves out the last tokens of the document, at least 128 and all that a plan may observe; they
/// are read with every question. So a plan chooses what it would choose if document and question were read as
/// one prompt, on the CPU bit for bit. The session must have cells for the whole document and the question.
class Source {
 public:
  /// Reads `document` into `sequence`, in place of what that holds, and keeps a copy. The plan says what must
  /// be observed. Throws what Sequence::prefill throws. The source must not outlive the session.
  Source(Sequence& sequence, std::span<const Token> document, const Plan& plan,
         const Progress& progress = {});
  /// Makes an earlier source again, from its `snapshot` and the document's `rest`. UsageError when the
  /// snapshot is compressed or was made for plans that observe less.
  Source(Sequence& sequence, Snapshot snapshot, std::vector<Token> rest, const Plan& plan);

  /// Puts the document in place of what the sequence holds, reads `question` after it and compresses by the
  /// plan, or lets `decode` do so once the answer's first tokens are observed
  /// (Sequence::compress_when_chosen). Session::logits then holds the logits of the last token. After an
  /// interruption or exception, asking again works.
  void ask(std::span<const Token> question, const Progress& progress = {});

  /// Appends tokens, such as a question and its answer, to the document. The next question reads them.
  void append(std::span<const Token> tokens);

  /// Replaces the plan. UsageError when this source was made for plans that observe less.
  void set_plan(const Plan& plan);

  /// The copy, and the tokens of the document that are read with each question.
  const Snapshot& snapshot() const { return snapshot_; }
  const std::vector<Token>& rest() const { return rest_; }
  std::int64_t n_tokens() const { return std::int64_t(snapshot_.tokens.size() + rest_.size()); }

 private:
  void check(const Plan& plan) const;
  /// Moves the tokens of `rest_` that need not be read with each question into the copy, which
  /// `sequence_` must hold.
  void advance(const Progress& progress);

  Sequence& sequence_;
  Plan plan_;
  Snapshot snapshot_;  // empty while the document is too short, see `source_length`
  std::vector<Token> rest_;
};

}  // namespace chunkkv
