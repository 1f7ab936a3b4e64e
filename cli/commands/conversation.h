#pragma once

#include "cli/commands/open_prompt.h"
#include "cli/terminal/progress.h"
#include "text/generate.h"

#include <chunkkv/cache_file.h>
#include <chunkkv/source.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::cli {

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
  text::Answer answer;
  double read_ms = 0;
  std::int32_t n_read = 0;  ///< tokens read for it
  /// Tokens that the answer was too short by to be compressed; 0 where nothing waited for them.
  std::int32_t n_unobserved = 0;
};

/// A document and the turns about it in one session. The document is compressed when it is read; what is said
/// then stays whole until a turn does not fit into the cells. Then the cache is compressed to the
/// budget, the system prompt and the newest turn being protected; so it is while answering.
class Conversation {
 public:
  Conversation(Session& session, PromptArguments prompt, ConversationRules rules,
               const text::Sampling& sampling, ProgressArguments progress);

  /// Starts anew with nothing.
  void clear();
  /// Starts anew with a document. It is read with the first question, or at once when its last tokens observe
  /// or it is kept whole.
  void open(const std::string& document);
  /// Goes on from the cache file `path`. One that cannot be used leaves the conversation as it is.
  void load(const std::string& path, CacheFile file);
  void save(const std::string& path) const;

  /// When it throws, a stop that is requested while reading included, nothing was asked.
  Turn ask(const std::string& question, const std::function<void(std::string_view)>& emit);

  /// Takes effect with the next turn. UsageError for what is no method or budget, or cannot be used here.
  void set_method(const std::string& spec);
  void set_keep(const std::string& budget);

  std::string statistics() const;

 private:
  const Model& model() const { return session_.model(); }
  std::size_t n_unread() const { return prompt_.tokens.size() - session_.tokens().size(); }
  /// What is kept when the newest `n_newest` tokens are protected.
  Plan plan(std::size_t n_newest) const;
  bool must_compress(std::size_t n_question) const;
  /// Says once what a small budget changes.
  void tell();
  void read(std::size_t n_question, const Progress& progress);
  void limit_answer(std::size_t n_newest);
  const CacheHome& home() const;

  Session& session_;
  PromptArguments arguments_;
  ConversationRules rules_;
  text::Sampler sampler_;
  ProgressArguments progress_;
  mutable std::optional<CacheHome> home_;

  OpenPrompt prompt_;             // everything so far; the session has read its first tokens
  std::optional<Source> source_;  // then the session is only where it is asked
  std::int32_t n_protected_ = 0;  // first tokens
  bool compress_next_ = false;
  std::int32_t n_turns_ = 0;
  bool told_ = false;                // what a small budget changed
  std::int32_t n_compressions_ = 0;  // before the session was restored
  Turn last_;
};

}  // namespace chunkkv::cli
