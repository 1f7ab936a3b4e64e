#pragma once

#include "text/sampler.h"

#include <chunkkv/session.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::text {

/// Why an answer ended.
enum class Stop : std::uint8_t {
  end,      ///< the model ended it
  text,     ///< GenerateOptions::find_end
  limit,    ///< -n tokens
  context,  ///< no free cell, or the model's trained positions are used up
  signal,   ///< Ctrl-C
  pause,    ///< GenerateOptions::pause_after
};

std::string_view to_string(Stop stop);

struct GenerateOptions {
  std::int32_t n_predict = 256;  ///< tokens at most
  /// Gets the text as it comes, whole characters only.
  std::function<void(std::string_view)> emit = {};
  /// Where the answer so far is to end; npos: it goes on. What was emitted is not taken back.
  std::function<std::size_t(std::string_view)> find_end = {};
  /// Stop with Stop::pause when the answer has so many tokens and all of them are read; 0: never.
  std::int32_t pause_after = 0;
  /// True when the work is to stop; so does an engine that throws Interrupted.
  std::function<bool()> interrupted = {};
};

struct Answer {
  std::string text;               ///< valid UTF-8
  std::vector<Token> tokens;      ///< as generated; the last one was read into the cache only with Stop::end
                                  ///< and Stop::pause
  std::vector<std::size_t> ends;  ///< [token]: bytes of the text when it was added; `text` may end before
  std::string held;               ///< with Stop::pause: bytes of a character that the next tokens complete
  Stop stop = Stop::limit;
  double first_ms = 0;                 ///< from the call to the first token
  std::optional<double> per_token_ms;  ///< mean of the tokens after the first, if there were any
};

/// Answers from what the sequence holds, the first token from `logits`.
Answer generate(Sequence& sequence, std::span<const float> logits, Sampler& sampler,
                const GenerateOptions& options);
/// Answers where the compression may wait for the answer's first tokens (Sequence::compress_when_chosen):
/// these come from `sequence`. `compressed` is called when nothing waits any more, at once or after them, and
/// returns the sequence that goes on; it is not called when the answer ends before.
Answer generate(Sequence& sequence, std::span<const float> logits, Sampler& sampler,
                const GenerateOptions& options, const std::function<Sequence&()>& compressed);
/// Goes on with a paused answer; `logits` are those after its last token.
Answer go_on(Sequence& sequence, std::span<const float> logits, Sampler& sampler, Answer before,
             const GenerateOptions& options);

/// Where an answer starts.
struct GenerationStart {
  Sequence* sequence = nullptr;  ///< not null
  std::span<const float> logits;
  Sampler* sampler = nullptr;  ///< not null; one each
  /// Goes on with an answer that was paused; one that ended otherwise is returned as it is.
  std::optional<Answer> before = std::nullopt;
};

/// Answers from several sequences of one session, token by token together. Each is what `generate` would give
/// alone, but for the rounding of a batch; times are those of the batch.
std::vector<Answer> generate_together(std::span<const GenerationStart> starts,
                                      const GenerateOptions& options);

}  // namespace chunkkv::text
