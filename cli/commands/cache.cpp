#include "cli/commands/commands.h"
#include "cli/commands/saved_cache.h"
#include "cli/files/inputs.h"
#include "cli/options/effects.h"
#include "cli/options/option_group.h"
#include "cli/options/options.h"
#include "cli/options/prompt.h"
#include "cli/show/cache_parts.h"
#include "cli/terminal/output.h"
#include "cli/terminal/progress.h"
#include "results/line.h"

#include <chunkkv/source.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace chunkkv::cli {
namespace {

struct BuildArguments {
  ModelArguments model;
  PromptArguments prompt;
  CompressionArguments compression;
  ProgressArguments progress;
  std::int32_t cells = 0;
  std::string observer;
  std::string prefill_type;
  std::string output;
  bool keep_source = false;
};

ObserverKind observer_of(const BuildArguments& arguments) {
  const bool asked = !arguments.prompt.question.empty();
  const std::string name = !arguments.observer.empty() ? arguments.observer : asked ? "question" : "window";
  if (name != "window" && !asked)
    throw UsageError(fmt::format("--observer {} needs a question that chooses; give one with -q", name));
  return parse_observer(name);
}

/// Reads the document, observed by the question if there is one, and compresses it; notes in `info` how.
Snapshot compressed(Session& session, std::vector<Token> tokens, const std::vector<Token>& question,
                    const BuildArguments& arguments, const Plan& wanted, const Progress& progress,
                    CacheFileInfo& info) {
  const Reading reading{.plan = wanted,
                        .observer = observer_of(arguments),
                        .n_question = std::int32_t(question.size()),
                        .keep_question = false,
                        .n_cells = arguments.cells};
  tokens.insert(tokens.end(), question.begin(), question.end());
  info.n_compressions = session.sequence().read(tokens, reading, progress);
  info.keep = wanted.budget.to_string();
  info.observer = to_string(reading.observer);
  Snapshot snapshot = session.sequence().snapshot();
  snapshot.attention.clear();  // large; a method that needs these sums begins anew when it compresses again
  return snapshot;
}

/// UsageError for errors in the arguments, before the model is loaded.
void check_build(const BuildArguments& arguments) {
  const Plan wanted = plan(arguments.compression);
  if (wanted.method->layer_budgets())
    throw UsageError(fmt::format("{} hides cells from single layers; such a cache cannot be saved",
                                 wanted.method->spec()));
  observer_of(arguments);
  if (!arguments.prefill_type.empty()) parse_cache_type(arguments.prefill_type);
  require_flash_attention(session_options(arguments.model));
  if (arguments.keep_source && arguments.cells > 0)
    throw UsageError("--keep-source needs the whole document in the cache; leave out --cells");
  if (arguments.output.empty()) throw UsageError("name the file to write with -o FILE");
}

void build(const BuildArguments& arguments) {
  check_build(arguments);
  SessionOptions options = session_options(arguments.model);
  PromptArguments document = arguments.prompt;
  document.question.clear();
  const std::string text = read_prompt(document);
  { const OutputFile writable(arguments.output); }  // an error is found now rather than after the work

  const auto model = load_model(arguments.model);
  const text::PromptLayout layout(*model, document);
  const text::OpenPrompt prompt = layout.open(text);
  const Plan wanted = plan_of(arguments.compression, arguments.prompt, *model);
  std::vector<Token> question;
  if (!arguments.prompt.question.empty()) question = layout.following(prompt, arguments.prompt.question);
  options.n_cells = arguments.cells > 0
                        ? arguments.cells
                        : cells_for(arguments.model, *model, prompt.tokens.size() + question.size(), 0);
  auto session = open_session(model, with_cache_types(options, arguments.prefill_type));
  if (!arguments.prefill_type.empty()) require_conversion(*session);
  print_error(parts_line(*session));

  CacheFileInfo info = new_info(*session, format_of(*session));
  info.method = wanted.method->spec();
  info.end = prompt.end;
  info.tail = prompt.tail;
  info.n_protected = wanted.protect_first;
  ProgressDisplay display(arguments.progress);
  Snapshot snapshot;
  if (arguments.keep_source) {
    const Source source(session->sequence(), prompt.tokens, wanted, display.callback());
    info.is_source = true;
    info.rest = source.rest();
    snapshot = source.snapshot();
    if (snapshot.n_entries == 0)
      throw UsageError("the document is so short that it is read with every question; no file is needed");
  } else {
    const auto n_document = std::int32_t(prompt.tokens.size());
    print_error(small_budget_note(wanted.at(n_document, n_document, model->info().n_layer)));
    snapshot = compressed(*session, prompt.tokens, question, arguments, wanted, display.callback(), info);
  }
  display.finish();
  if (!arguments.prefill_type.empty()) {
    session.reset();
    options.n_cells = 1;  // only its cache types are needed
    snapshot = open_session(model, options)->converted(std::move(snapshot));
    info.type_k = to_string(options.type_k);
    info.type_v = to_string(options.type_v);
  }
  save_cache_file(arguments.output, info, snapshot);
  print(description(arguments.output, load_cache_file(arguments.output)));
}

void add_build(CLI::App& parent) {
  auto arguments = std::make_shared<BuildArguments>();
  CLI::App& command = *parent.add_subcommand("build", "read a document, compress its cache, save it");
  add_model_options(command, arguments->model);
  add_prompt_options(command, arguments->prompt);
  add_compression_options(command, arguments->compression);
  add_keep_at_least(command, arguments->compression);
  const OptionGroup own(command);
  own.add("-o,--output", arguments->output, "file to write", "FILE");
  own.add("--cells", arguments->cells,
          "read the document in pieces into a cache of N cells, compressing in between", "N", 1, 1 << 24);
  own.add("--observer", arguments->observer,
          "whose attention chooses: question (default with -q), window (the last tokens) or both", "WHO");
  own.add("--cache-type-prefill", arguments->prefill_type,
          "type of the cache while the document is read; what is kept is then converted to -ctk and -ctv",
          "TYPE");
  own.flag("--keep-source", arguments->keep_source,
           "save the whole document's cache, so that each question gets a selection of its own");
  add_progress_options(command, arguments->progress);
  command.callback([arguments, &command] {
    check_keep_at_least(command, arguments->compression);
    if (arguments->keep_source)
      refuse_without_effect(command, {"--keep", "--keep-at-least", "--observer", "--question"},
                            "with --keep-source, which keeps everything for questions to choose from");
    if (arguments->cells > 0 && arguments->model.ctx_size > 0)
      throw UsageError("--cells and -c both size the cache; use one of them");
    unescape(arguments->prompt);
    if (command.count("--method") == 0 && !arguments->keep_source && arguments->prompt.question.empty())
      arguments->compression.method = kAgnosticMethod;
    build(*arguments);
  });
}

struct FileArguments {
  ModelArguments model;
  std::string file;
  bool json = false;
};

void info(const FileArguments& arguments) {
  const CacheFile file = load_cache_file(arguments.file);
  print(arguments.json ? results::to_text(to_json(arguments.file, file)) : description(arguments.file, file));
}

void verify(const FileArguments& arguments) {
  const CacheFile file = load_cache_file(arguments.file);
  if (!arguments.model.model.empty()) {
    SessionOptions options = options_for(file.info, arguments.model);
    const auto model = load_model(arguments.model);
    options.n_cells = file.snapshot.n_entries;
    const auto session = open_session(model, options);
    require_format(file.info, arguments.file, format_of(*session));
    session->sequence().restore(file.snapshot);
  }
  print(fmt::format("{}: good\n", arguments.file));
}

void add_file_argument(CLI::App& command, FileArguments& arguments) {
  reads_file(OptionGroup(command).add("file", arguments.file, "cache file", "FILE"))->required();
}

void add_info(CLI::App& parent) {
  auto arguments = std::make_shared<FileArguments>();
  CLI::App& command = *parent.add_subcommand("info", "check a cache file and tell what is in it");
  add_file_argument(command, *arguments);
  OptionGroup(command).flag("--json", arguments->json, "print one JSON object");
  command.callback([arguments] { info(*arguments); });
}

void add_verify(CLI::App& parent) {
  auto arguments = std::make_shared<FileArguments>();
  CLI::App& command =
      *parent.add_subcommand("verify", "check a cache file, and with -m that the model can go on from it");
  add_file_argument(command, *arguments);
  add_model_options(command, arguments->model);
  command.callback([arguments, &command] {
    if (arguments->model.model.empty())
      for (const CLI::Option* option : command.get_options())
        if (option->get_group() == "Model and cache")
          refuse_without_effect(command, {option->get_name().c_str()}, "without -m");
    verify(*arguments);
  });
}

}  // namespace

void add_cache(CLI::App& app) {
  CLI::App& command =
      *app.add_subcommand("cache", "save a compressed prompt as a file, look into such files");
  command.require_subcommand(1);
  add_build(command);
  add_info(command);
  add_verify(command);
}

}  // namespace chunkkv::cli
