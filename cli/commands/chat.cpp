#include "cli/commands/commands.h"
#include "cli/commands/saved_cache.h"
#include "cli/files/inputs.h"
#include "cli/files/text_file.h"
#include "cli/options/effects.h"
#include "cli/options/option_group.h"
#include "cli/options/options.h"
#include "cli/options/prompt.h"
#include "cli/show/units.h"
#include "cli/terminal/line_reader.h"
#include "cli/terminal/output.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/signals.h"
#include "text/conversation.h"
#include "text/utf8.h"

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace chunkkv::cli {
namespace {

constexpr std::int32_t kCells = 8192;  // cells of the cache where neither --cells nor -c is given
constexpr std::int32_t kTurns = 2048;  // cells for turns beside a document that is kept whole

struct ChatArguments {
  ModelArguments model;
  PromptArguments prompt;
  CompressionArguments compression;
  text::Sampling sampling;
  ProgressArguments progress;
  std::optional<std::string> cache;
  std::int32_t cells = 0;
  std::string observer = "question";
  bool keep_source = false;
  std::int32_t predict = 512;
};

std::string read_document(const std::string& path) {
  std::string text = read_text(path);
  if (text.find_first_not_of(" \t\r\n\v\f") == text.npos)
    throw UsageError(fmt::format("'{}' is empty", path));
  require_utf8(text, fmt::format("'{}' is no cache file, and", path), path);
  return text;
}

std::string statistics(const text::Conversation& conversation) {
  const Session& session = conversation.session();
  const text::ConversationRules& rules = conversation.rules();
  const text::Turn& last = conversation.last_turn();
  const CacheUse use = session.sequence().use();
  std::string text = fmt::format(
      "{:<10}{} tokens, {} turns\n"
      "{:<10}{} of {} cells, {} of {}\n",
      "read", conversation.n_tokens(), conversation.n_turns(), "cache", use.cells_used, rules.cells,
      mebibytes(use.bytes_used), mebibytes(use.bytes_allocated));
  if (const std::string parts = describe(session.cache_parts(), session.model().info().n_layer);
      !parts.empty())
    text += fmt::format("{:<10}{}; {} of windows and states\n", "layers", parts, mebibytes(use.bytes_fixed));
  if (const Source* source = conversation.source())
    text += fmt::format("{:<10}{} tokens, {} in host memory; {} more are read with each question\n", "source",
                        source->snapshot().n_entries, mebibytes(source->snapshot().state.size()),
                        source->rest().size());
  text += fmt::format("{:<10}{} to {}, observed by {}; compressed {} times\n", "method", rules.method->spec(),
                      rules.keep.to_string(), to_string(rules.observer), conversation.n_compressions());
  if (conversation.n_turns() > 0) {
    text += fmt::format("{:<10}{} tokens read in {:.0f} ms, {} answered", "last turn", last.n_read,
                        last.read_ms, last.answer.tokens.size());
    if (last.answer.per_token_ms) text += fmt::format(", {:.1f} ms each", *last.answer.per_token_ms);
    text += "\n";
  }
  return text;
}

void save(const text::Conversation& conversation, const std::string& path) {
  refuse_input(path);
  CacheFileInfo info = new_info(conversation.session(), conversation.format());
  const Snapshot snapshot = conversation.saved(info);
  if (!info.is_source) info.observer = to_string(conversation.rules().observer);
  save_cache_file(path, info, snapshot);
}

/// Events that print once what a small budget changes, and show how far a long reading is.
text::ConversationEvents events(const ProgressArguments& progress) {
  return {.compressing =
              [told = false](const ResolvedPlan& resolved) mutable {
                const std::string changed = small_budget_note(resolved);
                if (!told) print_error(changed);
                told = told || !changed.empty();
              },
          .reading =
              [progress](bool is_long, const std::function<void(const Progress&)>& read) {
                ProgressDisplay display(is_long ? progress : ProgressArguments{.when = "off"});
                read(display.callback());
              },
          .interrupted = stop_requested};
}

/// Reads lines: questions and commands. Answers go to standard output, all else to standard error.
class Chat {
 public:
  explicit Chat(text::Conversation& conversation) : conversation_(conversation) {}

  void run() {
    if (is_terminal_)
      print_error(
          "Ask, or give a command; /help lists them. Ctrl-C stops an answer, or ends.\n"
          "What is pasted is one question, as is what stands between \"\"\" and \"\"\".\n");
    while (!quit_) {
      if (is_terminal_) print_error("> ");
      std::optional<text::ChatEntry> entry;
      bool is_read = false;
      const auto read = [&] {
        entry = lines_.next();
        is_read = true;
      };
      guard(read, false);
      if (!is_read && !quit_) continue;
      if (!entry) break;
      const text::ChatLine line = text::parse_chat_line(*entry);
      const bool is_command = !line.command.empty();
      if (!is_command && line.text.empty()) continue;
      guard([&] { is_command ? command(line.command, line.text) : ask(line.text); }, !is_command);
    }
    if (is_terminal_ && !quit_) print_error("\n");
  }

  /// True when an entry failed and standard input is not a terminal.
  bool failed() const { return failed_ && !is_terminal_; }
  /// True when a file that is read would have been written over and standard input is not a terminal.
  bool refused() const { return refused_ && !is_terminal_; }

  void load(const std::string& path) {
    add_input(path);
    if (is_cache_file(path))
      conversation_.load(path, load_cache_file(path));
    else
      conversation_.open(read_document(path));
  }

  /// Calls `action`; an Error is printed, and the conversation goes on. Ctrl-C stops an answer or a reading.
  /// An action that cannot be stopped is too short for Ctrl-C to be meant for it, so there it ends the chat.
  void guard(const std::function<void()>& action, bool can_be_stopped) {
    bool stopped = can_be_stopped;
    try {
      action();
    } catch (const Error& error) {
      print_error(fmt::format("chunkkv: {}\n", error.what()));
      refused_ = refused_ || dynamic_cast<const InputRefused*>(&error) != nullptr;
      const bool interrupted = dynamic_cast<const Interrupted*>(&error) != nullptr;
      failed_ = failed_ || !interrupted;
      stopped = stopped || interrupted;
    }
    if (stop_requested() && !(stopped && withdraw_stop())) quit_ = true;
  }

 private:
  void ask(const std::string& question) {
    if (const std::size_t at = text::find_invalid_utf8(question); at != std::string::npos)
      throw UsageError(fmt::format("the line is not UTF-8 text (byte {} is wrong)", at));
    const text::Turn turn = conversation_.ask(question, [](std::string_view piece) { print(piece); });
    print("\n");
    if (turn.answer.stop == text::Stop::signal) print_error("(interrupted)\n");
    if (turn.answer.stop == text::Stop::limit) print_error("(cut at -n)\n");
    if (turn.n_until_compression > 0)
      print_error("(the answer ended before it could choose: nothing was dropped)\n");
    if (turn.answer.stop == text::Stop::context)
      print_error("(cut: the cache is full, or the model's trained length is reached; /clear begins anew)\n");
  }

  struct Command {
    std::string_view argument;
    std::string_view help;
    std::function<void(const std::string&)> run;
  };

  void command(const std::string& name, const std::string& argument) {
    const auto found = commands_.find(name);
    if (found == commands_.end())
      throw UsageError(fmt::format("there is no command {}; /help lists them", name));
    if (found->second.argument.empty() != argument.empty())
      throw UsageError(argument.empty() ? fmt::format("{} needs a {}", name, found->second.argument)
                                        : fmt::format("{} takes nothing after it", name));
    found->second.run(argument);
  }

  void help() const {
    for (const auto& [name, command] : commands_)
      print_error(fmt::format("{:<18}{}\n", fmt::format("{} {}", name, command.argument), command.help));
    print_error(
        "//...             a question that begins with /\n"
        "\"\"\"...\"\"\"         a question of several lines\n");
  }

  text::Conversation& conversation_;
  LineReader lines_;
  bool is_terminal_ = isatty(STDIN_FILENO) != 0;
  bool quit_ = false;
  bool failed_ = false;
  bool refused_ = false;

  const std::map<std::string, Command> commands_ = {
      {"/clear", {"", "forget the document and all that was said", [this](auto&) { conversation_.clear(); }}},
      {"/help", {"", "this list", [this](auto&) { help(); }}},
      {"/keep",
       {"BUDGET", "share (10%) or number of tokens that compression keeps",
        [this](auto& budget) { conversation_.set_keep(budget); }}},
      {"/load",
       {"FILE", "begin anew with a text, or go on from a cache file", [this](auto& path) { load(path); }}},
      {"/method",
       {"SPEC", "method of compression, as chunkkv:chunk=20",
        [this](auto& spec) { conversation_.set_method(spec); }}},
      {"/quit", {"", "end", [this](auto&) { quit_ = true; }}},
      {"/save",
       {"FILE", "save the conversation's cache as a file",
        [this](auto& path) { save(conversation_, path); }}},
      {"/stats",
       {"", "what is in the cache, and how long the last turn took",
        [this](auto&) { print_error(statistics(conversation_)); }}},
  };
};

/// Cells of the cache; `n_whole`: tokens of a document that is kept whole.
std::int32_t n_cells(const ChatArguments& arguments, const Model& model, std::size_t n_whole) {
  if (arguments.cells > 0 && arguments.model.ctx_size > 0)
    throw UsageError("--cells and -c both size the cache; use one of them");
  if (arguments.cells > 0) return arguments.cells;
  if (arguments.model.ctx_size > 0) return arguments.model.ctx_size;
  const std::int32_t wanted = n_whole == 0 ? kCells : std::max(kCells, std::int32_t(n_whole) + kTurns);
  return std::min(wanted, model.info().n_ctx_train);
}

void chat(const ChatArguments& arguments) {
  const Plan wanted = plan(arguments.compression);
  text::ConversationRules rules{.method = wanted.method,
                                .keep = wanted.budget,
                                .keep_at_least = wanted.keep_at_least,
                                .observer = parse_observer(arguments.observer),
                                .keep_source = arguments.keep_source,
                                .predict = arguments.predict < 0 ? kMaxCount : arguments.predict};
  if (arguments.prompt.file && arguments.cache)
    throw UsageError("-f and --cache both say what to begin with; use one of them");
  if (arguments.prompt.file == "-") throw UsageError("standard input is for questions; name a file with -f");
  std::optional<CacheFile> saved;
  std::string document;
  if (arguments.prompt.file) document = read_document(*arguments.prompt.file);
  if (arguments.cache) saved = load_cache_file(*arguments.cache);
  if (saved && arguments.keep_source && !saved->info.is_source)
    throw UsageError(
        fmt::format("--keep-source has no effect on '{}', which was compressed already; build it with "
                    "`cache build --keep-source`",
                    *arguments.cache));
  SessionOptions options =
      saved ? options_for(saved->info, arguments.model) : session_options(arguments.model);
  require_flash_attention(options);

  const auto model = load_model(arguments.model);
  std::size_t n_whole = 0;
  if (saved) n_whole = saved->info.is_source ? saved->snapshot.tokens.size() : 0;
  if (arguments.keep_source && !document.empty()) n_whole = model->tokenize(document, true, true).size();
  options.n_cells = n_cells(arguments, *model, n_whole);
  const auto session = open_session(model, options);
  rules.cells = session->options().n_cells;  // the engine rounds the number up
  text::Conversation conversation(*session, {*model, arguments.prompt}, rules, arguments.sampling,
                                  events(arguments.progress));
  if (!document.empty()) conversation.open(document);
  if (saved) conversation.load(*arguments.cache, std::move(*saved));
  Chat chat(conversation);
  chat.run();
  constexpr const char* kIncomplete = "not all of the input could be carried out; see above";
  if (chat.refused()) throw UsageError(kIncomplete);
  if (chat.failed()) throw Error(kIncomplete);
}

}  // namespace

void add_chat(CLI::App& app) {
  auto arguments = std::make_shared<ChatArguments>();
  CLI::App& command = *app.add_subcommand("chat", "talk about a document whose cache stays small");
  add_model_options(command, arguments->model, fmt::format("{}", kCells));
  const OptionGroup options(command, "Conversation");
  reads_file(options.add("-f,--file", arguments->prompt.file, "document to talk about", "FILE"));
  reads_file(options.add("--cache", arguments->cache, "go on from a cache file instead", "FILE"));
  options.add("--system-prompt,--system", arguments->prompt.system, "-sys: system message", "TEXT");
  options.flag(
      "--no-special", arguments->prompt.no_special,
      "for text of unknown origin: control tokens written out in document and questions are read as text");
  options.flag("--no-chat-template", arguments->prompt.no_chat_template,
               "lines follow each other as they are, without the model's chat template");
  options.add("-n,--predict,--n-predict", arguments->predict,
              fmt::format("tokens of an answer at most; -1: no limit (default: {})", arguments->predict), "N",
              -1, kMaxCount);
  add_compression_options(command, arguments->compression);
  add_keep_at_least(command, arguments->compression);
  const OptionGroup compression(command, "Compression");
  compression.add("--cells", arguments->cells,
                  fmt::format("cells of the cache, which it never outgrows (default: {})", kCells), "N", 1,
                  1 << 24);
  compression.add("--observer", arguments->observer,
                  "whose attention chooses what is kept of the document: question (default: the first one), "
                  "window (its own last tokens) or both",
                  "WHO");
  compression.flag("--keep-source", arguments->keep_source,
                   "keep the whole document's cache in host memory, and choose anew for each question");
  add_progress_options(command, arguments->progress);
  add_sampling_options(command, arguments->sampling);
  command.callback([arguments, &command] {
    check_sampling(command, arguments->sampling);
    check_keep_at_least(command, arguments->compression);
    if (arguments->keep_source)
      refuse_without_effect(command, {"--observer"}, "with --keep-source, where each question chooses");
    if (arguments->cache)
      refuse_without_effect(command, {"--system-prompt", "--no-chat-template"},
                            "on a prompt that was read before (--cache)");
    if (arguments->predict == 0) throw UsageError("-n 0 leaves no room for answers; give at least 1, or -1");
    if (command.count("--method") == 0 && !arguments->keep_source && arguments->observer == "window")
      arguments->compression.method = kAgnosticMethod;
    chat(*arguments);
  });
}

}  // namespace chunkkv::cli
