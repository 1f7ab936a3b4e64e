#pragma once

#include <chunkkv/session.h>

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::serve {

/// What one sequence of the session holds between requests.
struct Conversation {
  Sequence* sequence = nullptr;  ///< never null between requests
  bool is_busy = false;
  std::uint64_t used = 0;    ///< when; higher is later
  std::string key = "full";  ///< KvSettings::key of what compressed it; "full": nothing was dropped
  std::string name;
  std::int32_t n_protected = 0;
  std::int32_t n_prompt = 0;  ///< tokens of the newest request's prompt
  Checkpoint prompt_end;      ///< where that ends; windows and states go back to here only
  std::vector<float> logits;  ///< after that: the same prompt again gives the same answer
  std::int32_t n_kept = 0;    ///< entries that the last compression kept

  bool is_whole() const { return key == "full"; }
};

/// Whether any of the newest tokens can be dropped: windows and states cannot go back without a checkpoint.
inline bool can_cut(const Session& session) {
  return session.cache_parts().n_window + session.cache_parts().n_state == 0;
}

/// The sequences of a session, and which of them a new prompt continues. Not thread-safe.
class Conversations {
 public:
  explicit Conversations(Session& session);

  /// How many of the prompt's first tokens `c` holds in a way that can be gone back to, for a request whose
  /// settings have this key. With all of them, `logits` goes on.
  std::int32_t reusable(const Conversation& c, std::span<const Token> prompt, const std::string& key) const;
  /// Drops what `c` holds beyond so many tokens; `reusable` said that it can.
  void cut(Conversation& c, std::int32_t n_tokens);

  /// A sequence that holds nothing; null when all are in use.
  Conversation* free_one();
  /// The one that waits longest without work; null when there is none. `but`: not this one.
  Conversation* oldest_idle(const Conversation* but);
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
