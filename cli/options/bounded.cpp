#include "cli/options/bounded.h"

#include "cli/options/option_group.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>

namespace chunkkv::cli {
namespace {

/// The least room over the budget with --cells auto, as large as R-KV's buffer.
constexpr std::int32_t kBuffer = 128;

/// The number of cells in the text of --cells; 0 for "auto".
std::int32_t parse_cells(const std::string& text) {
  if (text == "auto") return 0;
  std::int32_t cells = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cells);
  if (error != std::errc() || end != text.data() + text.size() || cells < 1 || cells > kMaxCount) {
    throw UsageError(fmt::format("--cells is a number of cells or 'auto', not '{}'", text));
  }
  return cells;
}

}  // namespace

void add_bounded_options(CLI::App& app, BoundedArguments& arguments) {
  const OptionGroup options(app, "Long prompts and answers");
  options.add("--cells", arguments.cells,
              "read the prompt in pieces into a cache of N cells, compressing in between; auto: the budget, "
              "one piece (-ub) and the question",
              "N|auto");
  options.add("--observer", arguments.observer,
              "with --cells, whose attention chooses: question (default), window (each piece's last tokens) "
              "or both",
              "WHO");
  options.add("--buffer", arguments.buffer,
              "compress again whenever the answer has grown by N tokens over the budget (default: with "
              "--cells, when the cells are full; else never)",
              "N", 1, kMaxCount);
  options.add("--cache-type-prefill", arguments.prefill_type,
              "type of the cache while the prompt is read; what is kept is then converted to -ctk and -ctv "
              "(f16 is read several times faster than q8_0 or q4_0 on a CPU)",
              "TYPE");
  options.add("--positions", arguments.positions,
              "true (default) or cache: number kept tokens anew, so that text can outgrow the model's "
              "trained length; all layers then keep the same tokens",
              "true|cache");
}

void check(const BoundedArguments& arguments, const ModelArguments& model) {
  parse_observer(arguments.observer);
  if (arguments.positions != "true" && arguments.positions != "cache") {
    throw UsageError(fmt::format("--positions is true or cache, not '{}'", arguments.positions));
  }
  if (!arguments.prefill_type.empty()) {
    parse_cache_type(arguments.prefill_type);
    if (arguments.positions == "cache") {
      throw UsageError("--cache-type-prefill does not go with --positions cache; use true positions");
    }
  }
  if (!arguments.in_pieces()) return;
  parse_cells(arguments.cells);
  if (model.ctx_size > 0) throw UsageError("--cells and -c both size the cache; use one of them");
}

std::int32_t bounded_cells(const BoundedArguments& arguments, const Model& model,
                           const SessionOptions& options, const text::SplitPrompt& prompt, const Plan& plan,
                           std::int32_t n_predict) {
  const auto n_prompt = std::int32_t(prompt.tokens.size());
  const std::int32_t trained = model.info().n_ctx_train;
  if (n_prompt > trained && !options.cache_positions) {
    throw UsageError(
        fmt::format("the prompt has {} tokens, but this model was trained for {}; give a shorter text, or "
                    "--positions cache to read it all the same",
                    n_prompt, trained));
  }
  if (const std::int32_t cells = parse_cells(arguments.cells); cells > 0) return cells;
  if (plan.method->keeps_all()) return n_prompt + n_predict;
  return plan.at(n_prompt, n_prompt, 1).target.budget + plan.method->request().after +
         std::max(options.n_ubatch + prompt.n_question, kBuffer);
}

Reading reading(const BoundedArguments& arguments, const SessionOptions& options,
                const text::SplitPrompt& prompt, const Plan& plan) {
  return {.plan = plan,
          .observer = parse_observer(arguments.observer),
          .n_question = prompt.n_question,
          .n_cells = options.n_cells,
          .piece = options.n_ubatch};
}

std::optional<std::int32_t> answer_buffer(const BoundedArguments& arguments, const SessionOptions& options,
                                          std::int32_t budget) {
  if (arguments.buffer > 0) return arguments.buffer;
  if (!arguments.in_pieces()) return std::nullopt;
  return std::max(1, options.n_cells - budget);
}

}  // namespace chunkkv::cli
