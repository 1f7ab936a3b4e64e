#include "cli/commands/commands.h"
#include "cli/files/inputs.h"
#include "cli/files/text_file.h"
#include "cli/options/effects.h"
#include "cli/options/option_group.h"
#include "cli/options/options.h"
#include "cli/options/prompt.h"
#include "cli/show/cache_parts.h"
#include "cli/show/kept_view.h"
#include "cli/terminal/output.h"
#include "cli/terminal/progress.h"
#include "results/line.h"
#include "text/sampler.h"

#include <chunkkv/metrics.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

namespace chunkkv::cli {
namespace {

using Json = nlohmann::ordered_json;

struct InspectArguments {
  ModelArguments model;
  CompressionArguments compression;
  PromptArguments prompt;
  ProgressArguments progress;
  std::optional<std::string> tokens_file;
  std::optional<std::string> html;
  bool scores = false;
  bool json = false;
};

/// Token ids of a file that holds a JSON array of whole numbers.
std::vector<std::int64_t> read_token_ids(const std::string& path) {
  const auto json = Json::parse(read_text(path), nullptr, /*allow_exceptions=*/false);
  const auto is_id = [](const Json& value) { return value.is_number_integer(); };
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), is_id)) {
    throw UsageError(
        fmt::format("'{}' is not a list of token ids; write a JSON array such as [1, 9906, 28]", path));
  }
  if (json.empty()) throw UsageError(fmt::format("'{}' holds no token ids; give at least one", path));
  return json.get<std::vector<std::int64_t>>();
}

/// The ids as tokens of `model`. UsageError for an id outside its vocabulary.
std::vector<Token> to_tokens(const std::vector<std::int64_t>& ids, const Model& model) {
  std::vector<Token> tokens;
  for (const std::int64_t id : ids) tokens.push_back(model.token(id));
  return tokens;
}

/// The input to be read: a prompt, or token ids.
class Input {
 public:
  explicit Input(const InspectArguments& arguments) : prompt_(arguments.prompt) {
    if (!arguments.tokens_file) {
      text_ = read_prompt(prompt_);
      return;
    }
    if (prompt_.text || prompt_.file || !prompt_.question.empty()) {
      throw UsageError("--tokens-file is the whole prompt; leave out -p, -f and -q");
    }
    ids_ = read_token_ids(*arguments.tokens_file);
  }

  std::vector<Token> tokens(const Model& model) const {
    return ids_ ? to_tokens(*ids_, model) : text::PromptLayout(model, prompt_).tokens(text_);
  }

 private:
  const PromptArguments& prompt_;
  std::string text_;
  std::optional<std::vector<std::int64_t>> ids_;
};

Json scores_json(const Scores& scores) {
  if (scores.values.empty()) return nullptr;
  Json heads = Json::array();
  for (std::int32_t h = 0; h < scores.n_heads; ++h) {
    heads.push_back(std::vector<float>(scores.head(h), scores.head(h) + scores.n_entries));
  }
  return heads;
}

Json to_json(const KeptView& view, bool with_scores) {
  const Selection& selection = view.selection;
  const std::size_t n_layers = selection.layers.size();
  Json layers = Json::array();
  for (std::size_t l = 0; l < n_layers; ++l) {
    Json layer = {{"layer", selection.layers[l].layer}, {"kept", selection.layers[l].heads}};
    if (with_scores) layer["scores"] = scores_json(selection.scores.at(l));
    layers.push_back(std::move(layer));
  }
  const auto similarity = layer_similarity(selection.layers);
  Json matrix = Json::array();
  for (std::size_t l = 0; l < n_layers; ++l) {
    const auto row = similarity.begin() + std::ptrdiff_t(l * n_layers);
    matrix.push_back(std::vector<double>(row, row + std::ptrdiff_t(n_layers)));
  }
  Json json = {{"tokens", selection.n_entries},
               {"method", view.method},
               {"keep", view.keep},
               {"kept_tokens", selection.n_kept},
               {"layers", std::move(layers)},
               {"cache_parts", parts_json(view.parts, view.n_layer)},
               {"adjacent_similarity", adjacent_similarity(similarity, n_layers)},
               {"similarity", std::move(matrix)}};
  if (view.window > 0) json["window"] = view.window;
  return json;
}

/// Generates the `count` first tokens of the answer for a method that observes them before it chooses. An end
/// of the answer is passed over, so that all of them come.
void decode_observed_tokens(Session& session, std::int32_t count) {
  if (session.sequence().has_chosen()) return;
  text::Sampler sampler(session.model(), {.ignore_eos = true});
  for (std::int32_t i = 0; i < count; ++i) session.sequence().decode(sampler.sample(session.logits()));
}

void inspect(const InspectArguments& arguments) {
  Plan wanted = plan(arguments.compression);
  SessionOptions options = session_options(arguments.model);
  const Input input(arguments);
  std::optional<OutputFile> html;
  if (arguments.html) html.emplace(*arguments.html);

  const auto model = load_model(arguments.model);
  const auto prompt = input.tokens(*model);
  if (arguments.tokens_file) {
    // Token ids serve to compare with other implementations, whose windows do not shrink.
    wanted.fit_window = false;
    wanted.protect_first = arguments.prompt.protect;
  } else {
    wanted = plan_of(arguments.compression, arguments.prompt, *model);
  }
  wanted.keep_scores = arguments.scores;
  const auto n_prompt = std::int32_t(prompt.size());
  print_error(small_budget_note(wanted.at(n_prompt, n_prompt, model->info().n_layer)));
  options.n_cells = cells_for(arguments.model, *model, prompt.size(), wanted.method->request().after);
  const auto session = open_session(model, options);
  ProgressDisplay display(arguments.progress);
  session->sequence().prefill(prompt, {&wanted, 1}, display.callback());
  display.finish();
  decode_observed_tokens(*session, wanted.method->request().after);

  const KeptView view = make_view(*session, wanted, prompt);
  if (html) html->commit(kept_page(view));
  print(arguments.json ? results::to_text(to_json(view, arguments.scores)) : summary(view));
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App& command = *app.add_subcommand("inspect", "show which tokens of a prompt a method keeps");
  add_model_options(command, arguments->model);
  add_prompt_options(command, arguments->prompt);
  const OptionGroup own(command);
  reads_file(own.add("--tokens-file", arguments->tokens_file,
                     "read token ids instead of a text: a JSON array; - is standard input", "FILE"));
  add_compression_options(command, arguments->compression);
  CLI::Option* json =
      own.flag("--json", arguments->json, "print the kept indices of every layer as one JSON object");
  command.add_flag("--scores", arguments->scores, "with --json: add the scores of the tokens")->needs(json);
  own.add("--html", arguments->html, "write a page that draws the text with what each layer kept", "FILE");
  add_progress_options(command, arguments->progress);
  command.callback([arguments, &command] {
    if (arguments->tokens_file)
      refuse_without_effect(command, {"--system-prompt", "--no-chat-template", "--no-special", "--escape"},
                            "on token ids");
    unescape(arguments->prompt);
    inspect(*arguments);
  });
}

}  // namespace chunkkv::cli
