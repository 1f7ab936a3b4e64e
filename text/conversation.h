#pragma once

#include "text/generate.h"
#include "text/prompt_layout.h"

#include <chunkkv/cache_file.h>
#include <chunkkv/source.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::text {

/// How a conversation is kept in the cache.
struct ConversationRules {
  std::shared_ptr<const Method> method;
  Budget keep;                     ///< budget of each compression; a share is one of all tokens so far
  std::int32_t keep_at_least = 0;  ///< tokens that a share keeps however few there are
  ObserverKind observer = ObserverKind::question;
  std::int32_t cells = 0;    ///< cells of the cache; the conversation never outgrows them
  bool keep_source = false;  ///< keep documents whole in host memory, and select anew for each question
  std::int32_t predict = 256;
};

/// The result of one turn.
struct Turn {
  Answer answer;
  double read_ms = 0;
  std::int32_t n_read = 0;  ///< tokens read for this turn
  /// Tokens that the answer lacked for a compression that waited for them; 0 where none waited.
  std::int32_t n_until_compression = 0;
};

/// Callbacks of a conversation at work. Each may be empty.
struct ConversationEvents {
  /// Gets the resolved plan before tokens are read that are then compressed; not while answering.
  std::function<void(const ResolvedPlan&)> compressing = {};
  /// Must call `read` with the function that gets its progress. `is_long`: reading takes long.
  std::function<void(bool is_long, const std::function<void(const Progress&)>& read)> reading = {};
  std::function<bool()> interrupted = {};  ///< asked between tokens of an answer
};

/// A document and the turns about it in one session. The document is compressed when it is read; the turns
/// stay whole until one does not fit into the cells. Then the cache is compressed to the budget, with the
/// system prompt and the newest turn protected. The same happens when an answer outgrows the cells.
class Conversation {
 public:
  /// Keeps a reference to the session. UsageError for a method with layer budgets.
  Conversation(Session& session, PromptLayout layout, ConversationRules rules, const Sampling& sampling,
               ConversationEvents events);

  /// Empties the conversation and its sequence.
  void clear();
  /// Starts anew with a document. It is read with the first question, but at once where its last tokens are
  /// the window (ObserverKind::window) or where it is kept whole. UsageError when it is too long.
  void open(const std::string& document);
  /// Goes on from the cache file `path`. Error when its format does not match, UsageError when it needs more
  /// cells or is a source for methods that observe less; the conversation then stays as it is.
  void load(const std::string& path, CacheFile file);
  /// A copy of the cache for a file; sets the members of `info` that the conversation knows. UsageError when
  /// nothing is in the cache.
  Snapshot saved(CacheFileInfo& info) const;

  /// Reads the question and answers it; `emit` gets the answer's text as it comes. When reading throws
  /// (Interrupted included), the question was not asked.
  Turn ask(const std::string& question, const std::function<void(std::string_view)>& emit);

  /// Both take effect with the next turn. UsageError, with nothing changed, for an invalid spec or budget and
  /// for a method that cannot be used here.
  void set_method(const std::string& spec);
  void set_keep(const std::string& budget);

  const Session& session() const { return session_; }
  const CacheFormat& format() const;
  const ConversationRules& rules() const { return rules_; }
  const Source* source() const { return source_ ? &*source_ : nullptr; }
  std::size_t n_tokens() const { return prompt_.tokens.size(); }
  std::int32_t n_turns() const { return n_turns_; }
  std::int32_t n_compressions() const { return n_compressions_ + sequence_.n_compressions(); }
  const Turn& last_turn() const { return last_; }

 private:
  class Rollback;

  const Model& model() const { return session_.model(); }
  std::size_t n_unread() const { return prompt_.tokens.size() - sequence_.tokens().size(); }
  /// The plan of a compression that protects the newest `n_newest` tokens.
  Plan plan(std::size_t n_newest) const;
  bool must_compress(std::size_t n_question) const;
  void report_plan();
  void with_progress(bool is_long, const std::function<void(const Progress&)>& read) const;
  void read(std::size_t n_question, const Progress& progress);
  void limit_answer(std::size_t n_newest);

  Session& session_;
  Sequence& sequence_;
  PromptLayout layout_;
  ConversationRules rules_;
  Sampler sampler_;
  ConversationEvents events_;
  mutable std::optional<CacheFormat> format_;

  OpenPrompt prompt_;             // all tokens so far; the sequence has read the first of them
  std::optional<Source> source_;  // with `keep_source`; the sequence then only answers its questions
  std::int32_t n_protected_ = 0;  // first tokens that every compression keeps
  bool compress_next_ = false;
  std::int32_t n_turns_ = 0;
  std::int32_t n_compressions_ = 0;  // those that `sequence_` does not count, as before a restore
  Turn last_;
};

}  // namespace chunkkv::text
