#pragma once

#include <string_view>

namespace chunkkv::eval {

/// F of the longest common subsequences, at the level of summaries, as in PyPI `rouge` 1.0.1, which LongBench
/// uses: texts are split into sentences at each ".", words are compared as they stand, and counts are of
/// distinct words. 0 when a text has no sentence. The Python code also gives up (0) at its recursion limit,
/// on sentences of about a thousand words; this one scores them.
double rouge_l(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
