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
  text,     ///< GenerateOptions::find_end found its end
  limit,    ///< it has GenerateOptions::n_predict tokens
  context,  ///< no free cell, or the model's trained positions are used up
  signal,   ///< Ctrl-C
  pause,    ///< it has GenerateOptions::pause_after tokens
};

std::string_view to_string(Stop stop);

struct GenerateOptions {
  std::int32_t n_predict = 256;  ///< tokens at most
  /// Gets the text piece by piece, in whole characters.
  std::function<void(std::string_view)> emit = {};
  /// Returns the size to cut the answer so far to, or npos to go on. Emitted text is not taken back.
  std::function<std::size_t(std::string_view)> find_end = {};
  /// Stop with Stop::pause when the answer has this many tokens and all of them are read; 0: never.
  std::int32_t pause_after = 0;
  /// Returns true to stop with Stop::signal, as when the engine throws Interrupted.
  std::function<bool()> interrupted = {};
};

struct Answer {
  std::string text;               ///< valid UTF-8
  std::vector<Token> tokens;      ///< as generated; the last one was read into the cache only with Stop::end
                                  ///< and Stop::pause
  std::vector<std::size_t> ends;  ///< [token]: bytes of text up to its end; `find_end` may cut `text` shorter
  std::string held;               ///< with Stop::pause: bytes of a character that the next tokens complete
  Stop stop = Stop::limit;
  double first_ms = 0;                 ///< from the call to the first token
  std::optional<double> per_token_ms;  ///< mean over the tokens after the first; none without those
};

/// Generates an answer after what the sequence holds. `logits` are those of the first token, [n_vocab].
Answer generate(Sequence& sequence, std::span<const float> logits, Sampler& sampler,
                const GenerateOptions& options);
/// The same where a compression may wait for the answer's first tokens (Sequence::compress_when_chosen),
/// which `sequence` generates. When no compression waits (any more), `compressed` is called once and returns
/// the sequence that goes on. It is not called when the answer ends before.
Answer generate(Sequence& sequence, std::span<const float> logits, Sampler& sampler,
                const GenerateOptions& options, const std::function<Sequence&()>& compressed);
/// Goes on with the paused answer `before`; `logits` are those after its last token.
Answer go_on(Sequence& sequence, std::span<const float> logits, Sampler& sampler, Answer before,
             const GenerateOptions& options);

/// An answer to generate, or to go on with.
struct GenerationStart {
  Sequence* sequence = nullptr;  ///< not null
  std::span<const float> logits;
  Sampler* sampler = nullptr;  ///< not null; every answer needs its own
  /// A paused answer to go on with; one that ended for another reason is returned as it is.
  std::optional<Answer> before = std::nullopt;
};

/// Generates answers in several sequences of one session; each step reads a token of each in one batch. An
/// answer is what `generate` would give alone, up to a batch's rounding; times are those of the batch.
std::vector<Answer> generate_together(std::span<const GenerationStart> starts,
                                      const GenerateOptions& options);

}  // namespace chunkkv::text
