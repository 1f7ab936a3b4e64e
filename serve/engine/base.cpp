// Where a new prompt finds its beginning: in a conversation, a copy in host memory or a file.
#include "serve/engine/answer.h"
#include "serve/engine/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv::serve {

struct Scheduler::BaseSearch {
  Scheduler& scheduler;
  std::span<const Token> prompt;
  std::string usable;  ///< key of a compressed cache that the prompt may continue
  Base base = {};

  void know(std::int32_t length, const std::string& why) {
    if (length <= base.n_known) return;
    base.n_known = length;
    base.not_reused_because = why;
  }

  void add(Conversation& c) {
    const auto n_tokens = std::int32_t(c.sequence->tokens().size());
    const std::int32_t common = common_length(prompt, c.sequence->tokens());
    if (c.is_busy)
      know(common, "another request is using it");
    else if (c.is_whole() || c.key == usable)
      know(common, "it goes on differently before the place where the cache was compressed");
    else
      know(common, fmt::format("its cache was compressed by {}", c.key));
    const std::int32_t length = c.is_busy ? 0 : scheduler.conversations_.reusable(c, prompt, usable);
    // A conversation that goes on differently after the common beginning is not cut for this prompt.
    const bool is_same =
        common >= c.n_prompt || (length >= kMinTokensToCopy && n_tokens - common < kMinTokensToCopy);
    Base found{.live = &c, .n_tokens = n_tokens, .n_reused = length, .n_held = c.sequence->n_entries()};
    if (is_same && length > base.n_reused) {
      found.is_compressed = !c.is_whole();
      return take(std::move(found));
    }
    found.copies = true;
    if (scheduler.session_.can_share()) {
      found.n_reused = std::min({common, std::int32_t(prompt.size()) - 1, c.sequence->n_intact()});
      found.n_held = found.n_tokens = found.n_reused;
      take_if_longer(std::move(found));
    } else if (can_cut(scheduler.session_) && c.is_whole()) {
      take_if_longer(std::move(found));
    }
  }

  /// Adds `found`, a copy in host memory or a file, of these tokens. It cannot be cut among the first
  /// `n_compressed`, those up to its last compression.
  void add(Base found, const std::vector<Token>& tokens, std::int32_t n_compressed, const std::string& key) {
    const std::int32_t common = common_length(prompt, tokens);
    const bool is_usable = key == "full" || key == usable;
    know(common, is_usable ? "it goes on differently before the place where its copy was compressed"
                           : fmt::format("its copy was compressed by {}", key));
    found.n_tokens = std::int32_t(tokens.size());
    found.n_reused = std::min(common, std::int32_t(prompt.size()) - 1);
    found.is_compressed = n_compressed > 0;
    const std::int32_t least = can_cut(scheduler.session_) ? n_compressed : found.n_tokens;
    if (is_usable && found.n_reused >= least) take_if_longer(std::move(found));
  }

  void take_if_longer(Base found) {
    if (found.n_reused > base.n_reused && found.n_reused >= kMinTokensToCopy) take(std::move(found));
  }
  void take(Base found) {
    found.n_known = base.n_known;
    found.not_reused_because = base.not_reused_because;
    base = std::move(found);
  }
};

Scheduler::Base Scheduler::find_base(const Task& task) {
  // With kv.source each question chooses anew, so no compressed cache can be continued.
  BaseSearch search{.scheduler = *this,
                    .prompt = task.prompt.tokens,
                    .usable = task.kv.source ? std::string("full") : task.kv.key()};
  for (Conversation& c : conversations_.all())
    if (!conversations_.is_empty(c)) search.add(c);
  for (const HostCopy& copy : store_.copies())
    search.add({.host = &copy, .n_held = copy.snapshot.n_entries}, copy.snapshot.tokens,
               copy.n_compressed_tokens(), copy.key);
  if (files_.enabled()) {
    if (!task.kv.name.empty()) files_.look_for(task.kv.name);
    const auto entries = files_.entries();  // keeps the list alive: another thread may replace it
    for (const PromptFiles::Entry& entry : *entries)
      search.add({.file = entry.name, .n_held = entry.n_entries}, entry.tokens, entry.n_compressed_tokens,
                 entry.key);
  }
  for (const DroppedPrompt& dropped : dropped_)
    search.know(common_length(search.prompt, dropped.tokens), dropped.why);
  return search.base;
}

}  // namespace chunkkv::serve
