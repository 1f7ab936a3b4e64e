#pragma once

#include "cli/commands/eval.h"

namespace CLI {
class App;
}

namespace chunkkv::cli {

/// UsageError for an option of `eval` that has no effect on the benchmark or without another option.
void refuse_ineffective(const EvalArguments& arguments, const CLI::App& command);

}  // namespace chunkkv::cli
