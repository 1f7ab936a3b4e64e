#pragma once

#include "cli/options/options.h"

#include <initializer_list>
#include <string_view>

namespace CLI {
class App;
}

/// Options that would change nothing are refused rather than ignored: who gave one meant something by it.
namespace chunkkv::cli {

/// UsageError when one of `options`, by their long names, was given: it has no effect `where`, as "without
/// --cells".
void refuse_without_effect(const CLI::App& command, std::initializer_list<const char*> options,
                           std::string_view where);

/// Likewise --top-k, --top-p and --min-p at temperature 0, where the most likely token is taken anyway.
void check_sampling(const CLI::App& command, const text::Sampling& arguments);

/// Likewise a floor beside a budget that is a number of tokens.
void check_keep_at_least(const CLI::App& command, const CompressionArguments& arguments);

/// Likewise options of `parent` that were given to its subcommand.
void refuse_parents_options(const CLI::App& parent);

}  // namespace chunkkv::cli
