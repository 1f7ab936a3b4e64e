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
/// end. A text that is too short is repeated.
std::string cut_haystack(std::string_view text, std::size_t begin, std::size_t n_tokens,
                         const Tokenizer& tokenizer);

/// Puts each needle at its depth, in tokens, moved back to the end of a sentence. Needles at one place keep
/// their order.
std::string hide(std::string_view haystack, std::vector<Needle> needles, const Tokenizer& tokenizer);

/// Offset after the last sentence that ends at or before `at`; 0 when none does.
std::size_t sentence_end(std::string_view text, std::size_t at);

}  // namespace chunkkv::eval
