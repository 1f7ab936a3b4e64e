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

/// How a conversation is held in its cache.
struct ConversationRules {
  std::shared_ptr<const Method> method;
  Budget keep;                     ///< of all tokens so far, whenever the cache is compressed
  std::int32_t keep_at_least = 0;  ///< tokens that a share keeps
  ObserverKind observer = ObserverKind::question;
  std::int32_t cells = 0;    ///< of the cache; it never outgrows them
  bool keep_source = false;  ///< keep documents whole, and select anew for each question
  std::int32_t predict = 256;
};

/// One turn, as it went.
struct Turn {
  Answer answer;
  double read_ms = 0;
  std::int32_t n_read = 0;  ///< tokens read for it
  /// Tokens that the answer was too short by to be compressed; 0 where nothing waited for them.
  std::int32_t n_unobserved = 0;
};

/// What a conversation tells while it works. All may be empty.
struct ConversationEvents {
  /// What became of the plan, each time before something is compressed.
  std::function<void(const ResolvedPlan&)> compressing = {};
  /// Calls `read` with what is to be told of its progress.
  std::function<void(bool is_long, const std::function<void(const Progress&)>& read)> reading = {};
  std::function<bool()> interrupted = {};  ///< asked between tokens of an answer
};

/// A document and the turns about it in one session. The document is compressed when it is read; what is said
/// then stays whole until a turn does not fit into the cells. Then the cache is compressed to the
/// budget, the system prompt and the newest turn being protected; so it is while answering.
class Conversation {
 public:
  /// Keeps a reference to the session.
  Conversation(Session& session, PromptLayout layout, ConversationRules rules, const Sampling& sampling,
               ConversationEvents events);

  /// Starts anew with nothing.
  void clear();
  /// Starts anew with a document. It is read with the first question, or at once when its last tokens observe
  /// or it is kept whole.
  void open(const std::string& document);
  /// Goes on from the cache file `path`. One that cannot be used leaves the conversation as it is.
  void load(const std::string& path, CacheFile file);
  /// What is in the cache, and the conversation's own part of what a file tells about it. UsageError when
  /// nothing is.
  Snapshot saved(CacheFileInfo& info) const;

  /// When it throws, a stop that is requested while reading included, nothing was asked.
  Turn ask(const std::string& question, const std::function<void(std::string_view)>& emit);

  /// Takes effect with the next turn. UsageError for what is no method or budget, or cannot be used here.
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
  /// What is kept when the newest `n_newest` tokens are protected.
  Plan plan(std::size_t n_newest) const;
  bool must_compress(std::size_t n_question) const;
  void tell();
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

  OpenPrompt prompt_;             // everything so far; the session has read its first tokens
  std::optional<Source> source_;  // then the session is only where it is asked
  std::int32_t n_protected_ = 0;  // first tokens
  bool compress_next_ = false;
  std::int32_t n_turns_ = 0;
  std::int32_t n_compressions_ = 0;  // before the session was restored
  Turn last_;
};

}  // namespace chunkkv::text
