#pragma once

#include "cli/options/options.h"
#include "cli/options/prompt.h"

#include <chunkkv/session.h>

#include <cstdint>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace chunkkv::cli {

/// Options for prompts longer than the cache and answers that must not outgrow it.
struct BoundedArguments {
  std::string cells;  ///< "": the whole prompt; "auto" or a number
  std::string observer = "question";
  std::int32_t buffer = 0;  ///< 0: the cells that the budget leaves
  std::string positions = "true";
  std::string prefill_type;  ///< "": -ctk and -ctv

  bool in_pieces() const { return !cells.empty(); }
};

void add_bounded_options(CLI::App& app, BoundedArguments& arguments);

/// The session that reads the prompt: with --cache-type-prefill its cache has other types.
SessionOptions reading_options(const BoundedArguments& arguments, const SessionOptions& options);

/// UsageError where a value is not allowed or does not go with the others.
void check(const BoundedArguments& arguments, const ModelArguments& model);

/// Cells for reading `prompt` in pieces; UsageError when its positions outgrow the model.
std::int32_t bounded_cells(const BoundedArguments& arguments, const Model& model,
                           const SessionOptions& options, const text::SplitPrompt& prompt, const Plan& plan,
                           std::int32_t n_predict);

Reading reading(const BoundedArguments& arguments, const SessionOptions& options,
                const text::SplitPrompt& prompt, const Plan& plan);

/// The buffer of a compression while generating; nothing where the cache may grow.
std::optional<std::int32_t> answer_buffer(const BoundedArguments& arguments, const SessionOptions& options,
                                          std::int32_t budget);

}  // namespace chunkkv::cli
