#pragma once

#include "cli/options/options.h"
#include "cli/options/prompt.h"

#include <chunkkv/session.h>

#include <cstdint>
#include <optional>
#include <string>

namespace chunkkv::cli {

/// Options for prompts longer than the cache and answers that must not outgrow it.
struct BoundedArguments {
  std::string cells;  ///< "": as many as the whole prompt needs; else "auto" or a number
  std::string observer = "question";
  std::int32_t buffer = 0;  ///< 0: with --cells, the cells that the budget leaves; else the cache grows
  std::string positions = "true";
  std::string prefill_type;  ///< "": the types of -ctk and -ctv

  bool in_pieces() const { return !cells.empty(); }
};

void add_bounded_options(CLI::App& app, BoundedArguments& arguments);

/// UsageError where a value is not allowed or does not go with the others.
void check(const BoundedArguments& arguments, const ModelArguments& model);

/// Cells for reading `prompt` in pieces. UsageError when its true positions outgrow the trained context.
std::int32_t bounded_cells(const BoundedArguments& arguments, const Model& model,
                           const SessionOptions& options, const text::SplitPrompt& prompt, const Plan& plan,
                           std::int32_t n_predict);

Reading reading(const BoundedArguments& arguments, const SessionOptions& options,
                const text::SplitPrompt& prompt, const Plan& plan);

/// Entries that an answer may grow over `budget` before the cache is compressed again; nothing: any number.
std::optional<std::int32_t> answer_buffer(const BoundedArguments& arguments, const SessionOptions& options,
                                          std::int32_t budget);

}  // namespace chunkkv::cli
