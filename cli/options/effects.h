#pragma once

#include "cli/options/options.h"

#include <initializer_list>
#include <string_view>

/// Options that would change nothing are refused rather than ignored: whoever gave one expects an effect.
namespace chunkkv::cli {

/// UsageError when one of `options`, long names, was given. `where` follows "has no effect" in the
/// message: "without --cells".
void refuse_without_effect(const CLI::App& command, std::initializer_list<const char*> options,
                           std::string_view where);

/// UsageError for --top-k, --top-p or --min-p at temperature 0, where the most likely token is taken anyway.
void check_sampling(const CLI::App& command, const text::Sampling& arguments);

/// UsageError for --keep-at-least beside a budget that is a number of tokens.
void check_keep_at_least(const CLI::App& command, const CompressionArguments& arguments);

/// UsageError for options of `parent` that were given together with one of its subcommands.
void refuse_parents_options(const CLI::App& parent);

}  // namespace chunkkv::cli
