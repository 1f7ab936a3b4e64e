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
/// The copy ends before the tokens that a plan observes together with the question: they, 128 or somewhat
/// more, are read with every question. So what a plan chooses is what it chooses when document and question
/// are read as one prompt; on the CPU bit for bit. The session must have cells for the whole document and the
/// question.
class Source {
 public:
  /// Reads `document` into `sequence`, in place of what that holds, and keeps a copy. The plan says what must
  /// be observed. Errors are those of Sequence::prefill. Neither may
  /// outlive the session.
  Source(Sequence& sequence, std::span<const Token> document, const Plan& plan,
         const Progress& progress = {});
  /// A source of before: `snapshot` without compressions, and the document's `rest`. UsageError when they
  /// were made for plans that observe less.
  Source(Sequence& sequence, Snapshot snapshot, std::vector<Token> rest, const Plan& plan);

  /// Puts the document in place of what the sequence holds, reads `question` after it and compresses by the
  /// plan, or lets `decode` do so once the answer's first tokens are observed
  /// (Sequence::compress_when_chosen). Session::logits holds the last token's afterwards. When it is
  /// interrupted or throws, asking again works.
  void ask(std::span<const Token> question, const Progress& progress = {});

  /// Lengthens the document, by what was asked and answered for example. It is read with the next question.
  void append(std::span<const Token> tokens);

  /// UsageError when this source was made for plans that observe less.
  void set_plan(const Plan& plan);

  /// The copy, and the tokens of the document that are read with each question.
  const Snapshot& snapshot() const { return snapshot_; }
  const std::vector<Token>& rest() const { return rest_; }
  std::int64_t n_tokens() const { return std::int64_t(snapshot_.tokens.size() + rest_.size()); }

 private:
  void check(const Plan& plan) const;
  /// Reads of the rest what need not be read with each question; the sequence holds the copy.
  void advance(const Progress& progress);

  Sequence& sequence_;
  Plan plan_;
  Snapshot snapshot_;  // empty while the document is not longer than what is observed
  std::vector<Token> rest_;
};

}  // namespace chunkkv
