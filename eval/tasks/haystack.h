#pragma once

#include "benchmark.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::eval {

/// A sentence to be hidden in a text, at a depth from 0, the text's beginning, to 1, its end.
struct Needle {
  std::string sentence;
  double depth = 0;
};

/// Cuts at most `n_tokens` tokens out of `text`, from the first sentence after byte `begin` to the last end
/// of a sentence (or of a line or word: see text_breaks.h) within them. A text that is too short is repeated.
std::string cut_haystack(std::string_view text, std::size_t begin, std::size_t n_tokens,
                         const Tokenizer& tokenizer);

/// Inserts each needle at its depth, measured in tokens and moved to the nearest end of a sentence, or of a
/// line or word where no sentence ends near it (see text_breaks.h). Needles at one place keep their order.
/// `reached` gets the depth that each needle has in the result: the share of the haystack's tokens before it.
std::string hide(std::string_view haystack, const std::vector<Needle>& needles, const Tokenizer& tokenizer,
                 std::vector<double>* reached = nullptr);

}  // namespace chunkkv::eval
