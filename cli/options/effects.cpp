#include "cli/options/effects.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace chunkkv::cli {

void refuse_without_effect(const CLI::App& command, std::initializer_list<const char*> options,
                           std::string_view where) {
  for (const char* option : options)
    if (command.count(option) > 0)
      throw UsageError(fmt::format("{} has no effect {}; leave it out", option, where));
}

void check_sampling(const CLI::App& command, const text::Sampling& arguments) {
  if (arguments.temperature > 0) return;
  refuse_without_effect(command, {"--top-k", "--top-p", "--min-p"},
                        "at temperature 0, where the most likely token is always taken (--temp)");
}

void check_keep_at_least(const CLI::App& command, const CompressionArguments& arguments) {
  if (arguments.keep_at_least == 0 || Budget::parse(arguments.keep).is_fraction()) return;
  refuse_without_effect(command, {"--keep-at-least"}, "on a budget that is a number of tokens");
}

void refuse_parents_options(const CLI::App& parent) {
  for (const CLI::App* child : parent.get_subcommands())
    for (const CLI::Option* option : parent.get_options())
      if (option->count() > 0)
        throw UsageError(fmt::format("{} has no effect on `{} {}`; leave it out", option->get_name(),
                                     parent.get_name(), child->get_name()));
}

}  // namespace chunkkv::cli
