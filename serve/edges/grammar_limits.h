#pragma once

#include <string_view>

namespace chunkkv::serve {

/// UsageError for a grammar (GBNF) that could keep the engine busy for minutes: one that is too long, nests
/// too deeply, or leaves so many ways open at one place that each token would be tried against thousands. A
/// text that is no grammar is left to the engine's parser.
void require_small_grammar(std::string_view grammar);

}  // namespace chunkkv::serve
