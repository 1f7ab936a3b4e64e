#pragma once

#include <chunkkv/session.h>

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::serve {

/// A sequence of the session, and what the server knows of it.
struct Conversation {
  Sequence* sequence = nullptr;  ///< never null between requests
  bool is_busy = false;
  std::uint64_t used = 0;    ///< time of the last use: a count, higher is later
  std::string key = "full";  ///< KvSettings::key of its compression; "full": nothing was dropped
  std::string name;
  std::int32_t n_protected = 0;
  std::int32_t n_prompt = 0;  ///< tokens of the newest request's prompt
  Checkpoint prompt_end;      ///< at the end of that prompt; windows and states can go back to here only
  std::vector<float> logits;  ///< after that prompt, so that the same prompt again gives the same answer
  std::int32_t n_kept = 0;    ///< entries that the last compression kept

  bool is_whole() const { return key == "full"; }
};

/// Whether a sequence can drop its newest tokens. Windows and states can only go back to a checkpoint.
inline bool can_cut(const Session& session) {
  return session.cache_parts().n_window + session.cache_parts().n_state == 0;
}

/// The sequences of a session, and which of them a new prompt continues. Not thread-safe.
class Conversations {
 public:
  explicit Conversations(Session& session);

  /// How many of the prompt's first tokens `c` can reuse: it holds them, can be cut back to them, and is
  /// whole or was compressed under `key`, the key of the request's settings. Where that is the whole prompt,
  /// the answer begins with `logits`.
  std::int32_t reusable(const Conversation& c, std::span<const Token> prompt, const std::string& key) const;
  /// Drops the tokens of `c` after the first `n_tokens`, a number that `reusable` returned.
  void cut(Conversation& c, std::int32_t n_tokens);

  /// Returns an idle conversation that holds nothing; null when there is none.
  Conversation* free_one();
  /// Returns the idle, non-empty conversation, other than `except`, that was unused for longest; or null.
  Conversation* oldest_idle(const Conversation* except);
  void clear(Conversation& c);
  void touch(Conversation& c) { c.used = ++clock_; }

  std::list<Conversation>& all() { return all_; }
  bool is_empty(const Conversation& c) const { return c.sequence->n_entries() == 0; }
  Conversation* with_sequence(std::int64_t sequence);

 private:
  Session& session_;
  std::list<Conversation> all_;
  std::uint64_t clock_ = 0;
};

/// Length of the common beginning.
std::int32_t common_length(std::span<const Token> a, std::span<const Token> b);

}  // namespace chunkkv::serve
