#pragma once

#include <string_view>

namespace chunkkv::eval {

/// Summary-level F score of longest common subsequences, as in PyPI `rouge` 1.0.1, which LongBench uses:
/// texts are split into sentences at each ".", words are compared exactly, and only distinct words are
/// counted. 0 when a text has no sentence. For sentences of about a thousand words the Python code reaches
/// its recursion limit and gives 0; this function scores them.
double rouge_l(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
