// Where a new prompt finds its beginning: in a conversation, a copy in host memory or a file.
#include "serve/engine/answer.h"
#include "serve/engine/scheduler.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv::serve {
namespace {

/// A cache in host memory or in a file.
struct Stored {
  const std::vector<Token>& tokens;
  /// Tokens up to the last compression; the cache cannot be cut among them.
  std::int32_t n_compressed_tokens;
  std::int32_t n_entries;
  const std::string& key;
  const HostCopy* host = nullptr;
  std::string file = {};
};

}  // namespace

struct Scheduler::BaseSearch {
  Scheduler& scheduler;
  const Session& session;
  std::span<const Token> prompt;
  std::string usable;  ///< key of a compressed cache that the prompt may continue
  bool can_be_cut;
  Base base = {};

  void know(std::int32_t length, const std::string& why) {
    if (length <= base.n_known) return;
    base.n_known = length;
    base.not_reused_because = why;
  }

  void add(Conversation& c) {
    const std::int32_t common = common_length(prompt, c.sequence->tokens());
    const std::int32_t beyond = std::int32_t(c.sequence->tokens().size()) - common;
    if (c.is_busy)
      know(common, "another request is using it");
    else if (c.is_whole() || c.key == usable)
      know(common, "it goes on differently before the place where the cache was compressed");
    else
      know(common, fmt::format("its cache was compressed by {}", c.key));
    const std::int32_t length = c.is_busy ? 0 : scheduler.conversations_.reusable(c, prompt, usable);
    // A conversation that goes on differently after the common beginning is not cut for this prompt.
    const bool is_same = common >= c.n_prompt || (length >= kMinTokensToCopy && beyond < kMinTokensToCopy);
    if (is_same && length > base.n_reused)
      continue_in_place(c, length);
    else if (session.can_share())
      share(c, common);
    else if (can_be_cut && c.is_whole())
      copy(c, length);
  }

  void continue_in_place(Conversation& c, std::int32_t length) {
    take(c, false, length);
    base.is_compressed = !c.is_whole();
  }
  void share(Conversation& c, std::int32_t common) {
    const std::int32_t length = std::min({common, std::int32_t(prompt.size()) - 1, c.sequence->n_intact()});
    if (length <= base.n_reused || length < kMinTokensToCopy) return;
    take(c, true, length);
    base.n_held = base.n_tokens = length;
  }
  void copy(Conversation& c, std::int32_t length) {
    if (length > base.n_reused && length >= kMinTokensToCopy) take(c, true, length);
  }
  void take(Conversation& c, bool copies, std::int32_t length) {
    base = {.live = &c,
            .copies = copies,
            .n_tokens = std::int32_t(c.sequence->tokens().size()),
            .n_reused = length,
            .n_held = c.sequence->n_entries(),
            .n_known = base.n_known,
            .not_reused_because = base.not_reused_because};
  }

  void add(const Stored& stored) {
    const std::int32_t common = common_length(prompt, stored.tokens);
    const bool is_usable = stored.key == "full" || stored.key == usable;
    know(common, is_usable ? "it goes on differently before the place where its copy was compressed"
                           : fmt::format("its copy was compressed by {}", stored.key));
    const std::int32_t length = std::min(common, std::int32_t(prompt.size()) - 1);
    const auto n_tokens = std::int32_t(stored.tokens.size());
    if (!is_usable || length < stored.n_compressed_tokens || (!can_be_cut && length < n_tokens)) return;
    if (length <= base.n_reused || length < kMinTokensToCopy) return;
    base = {.host = stored.host,
            .file = stored.file,
            .n_tokens = n_tokens,
            .n_reused = length,
            .n_held = stored.n_entries,
            .is_compressed = stored.n_compressed_tokens > 0,
            .n_known = base.n_known,
            .not_reused_because = base.not_reused_because};
  }
};

Scheduler::Base Scheduler::find_base(const Task& task) {
  // With kv.source each question chooses anew, so no compressed cache can be continued.
  BaseSearch search{.scheduler = *this,
                    .session = session_,
                    .prompt = task.prompt.tokens,
                    .usable = task.kv.source ? std::string("full") : task.kv.key(),
                    .can_be_cut = can_cut(session_)};
  for (Conversation& c : conversations_.all())
    if (!conversations_.is_empty(c)) search.add(c);
  for (const HostCopy& copy : store_.copies())
    search.add(Stored{.tokens = copy.snapshot.tokens,
                      .n_compressed_tokens = copy.n_compressed_tokens(),
                      .n_entries = copy.snapshot.n_entries,
                      .key = copy.key,
                      .host = &copy});
  if (files_.enabled()) {
    if (!task.kv.name.empty()) files_.look_for(task.kv.name);
    const auto entries = files_.entries();  // keeps the list alive: another thread may replace it
    for (const PromptFiles::Entry& entry : *entries)
      search.add(Stored{.tokens = entry.tokens,
                        .n_compressed_tokens = entry.n_compressed_tokens,
                        .n_entries = entry.n_entries,
                        .key = entry.key,
                        .file = entry.name});
  }
  for (const DroppedPrompt& dropped : dropped_)
    search.know(common_length(search.prompt, dropped.tokens), dropped.why);
  return search.base;
}

}  // namespace chunkkv::serve
