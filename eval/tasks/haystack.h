#pragma once

#include "benchmark.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::eval {

/// A sentence that is hidden in a text, and where: 0 at its beginning, 1 at its end.
struct Needle {
  std::string sentence;
  double depth = 0;
};

/// `n_tokens` tokens of `text` from the sentence after byte `begin` on, less what follows the last sentence's
/// end (or line's, or word's: see text_breaks.h). A text that is too short is repeated.
std::string cut_haystack(std::string_view text, std::size_t begin, std::size_t n_tokens,
                         const Tokenizer& tokenizer);

/// Puts each needle at its depth, in tokens, moved to the nearest end of a sentence, or of a line or word
/// where no sentence ends near it (see text_breaks.h). Needles at one place keep their order. `reached` gets
/// the depth at which each needle lies then: the share of the haystack's tokens that come before it.
std::string hide(std::string_view haystack, const std::vector<Needle>& needles, const Tokenizer& tokenizer,
                 std::vector<double>* reached = nullptr);

}  // namespace chunkkv::eval
