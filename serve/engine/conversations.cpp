#include "serve/engine/conversations.h"

#include <algorithm>

namespace chunkkv::serve {

std::int32_t common_length(std::span<const Token> a, std::span<const Token> b) {
  return std::int32_t(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

Conversations::Conversations(Session& session) : session_(session) {
  for (SequenceId id = 0; id < session.options().n_sequences; ++id)
    all_.emplace_back().sequence = &session.sequence(id);
}

std::int32_t Conversations::reusable(const Conversation& c, std::span<const Token> prompt,
                                     const std::string& key) const {
  if (is_empty(c) || (!c.is_whole() && c.key != key)) return 0;
  const auto& tokens = c.sequence->tokens();
  const auto n_tokens = std::int32_t(tokens.size());
  const std::int32_t common = common_length(prompt, tokens);
  // The prompt's last token is read again for its logits, unless `c.logits` has them: read alone, a token is
  // rounded otherwise than with those before it.
  const bool knows_end = common == std::int32_t(prompt.size()) && common == c.n_prompt && !c.logits.empty();
  const std::int32_t wanted =
      knows_end ? common : std::min<std::int32_t>(common, std::int32_t(prompt.size()) - 1);
  if (wanted == n_tokens) return wanted;
  if (!can_cut(session_)) {
    // The sequence can go back to the end of its prompt only.
    const bool can =
        c.prompt_end.next > 0 && c.prompt_end.next <= wanted && c.sequence->can_go_back(c.prompt_end);
    return can && (knows_end || c.prompt_end.next < std::int32_t(prompt.size())) ? c.prompt_end.next : 0;
  }
  // A cut among the tokens of the last compression is impossible: each layer kept others of them.
  const std::int32_t n_entries = c.sequence->n_entries();
  const std::int32_t first = n_tokens - (n_entries - c.n_kept);
  return wanted >= first ? wanted : 0;
}

void Conversations::cut(Conversation& c, std::int32_t n_tokens) {
  const std::int32_t dropped = std::int32_t(c.sequence->tokens().size()) - n_tokens;
  if (dropped == 0) return;
  if (!can_cut(session_))
    c.sequence->go_back(c.prompt_end);
  else
    c.sequence->truncate(c.sequence->n_entries() - dropped);
}

Conversation* Conversations::free_one() {
  for (Conversation& c : all_)
    if (!c.is_busy && is_empty(c)) return &c;
  return nullptr;
}

Conversation* Conversations::oldest_idle(const Conversation* except) {
  Conversation* oldest = nullptr;
  for (Conversation& c : all_)
    if (!c.is_busy && &c != except && !is_empty(c) && (oldest == nullptr || c.used < oldest->used))
      oldest = &c;
  return oldest;
}

void Conversations::clear(Conversation& c) {
  c.sequence->stop_compressing();
  c.sequence->clear();
  Sequence* const sequence = c.sequence;
  c = {};
  c.sequence = sequence;
}

Conversation* Conversations::with_sequence(std::int64_t sequence) {
  for (Conversation& c : all_)
    if (c.sequence->id() == sequence) return &c;
  return nullptr;
}

}  // namespace chunkkv::serve
