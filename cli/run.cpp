#include "commands.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "prompt.h"
#include "report.h"
#include "signals.h"
#include "text/sampler.h"
#include "timer.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>
#include <vector>

namespace chunkkv::cli {
namespace {

struct RunArguments {
  ModelArguments model;
  CompressionArguments compression;
  PromptArguments prompt;
  text::Sampling sampling;
  ProgressArguments progress;
  std::int32_t predict = 256;
  bool compare = false;
  bool json = false;
};

/// One prompt in one session: it is read once, and answered from the full cache, the compressed one or both.
class Run {
 public:
  Run(const RunArguments& arguments, Plan plan, Session& session, std::vector<Token> prompt)
      : arguments_(arguments), plan_(std::move(plan)), session_(session), prompt_(std::move(prompt)) {}

  void read() {
    ProgressDisplay display(arguments_.progress);
    const Timer timer;
    session_.prefill(prompt_, {&plan_, 1}, display.callback());
    prefill_ms_ = timer.ms();
    display.finish();
    // Both answers start from these, whatever happens to the session in between.
    const auto logits = session_.logits();
    logits_.assign(logits.begin(), logits.end());
  }

  Outcome answer_from_full_cache() {
    Outcome outcome = describe("full", Budget().to_string());
    outcome.ms.prefill = session_.timings().prefill - session_.timings().observe - session_.timings().select;
    outcome.kept_tokens = outcome.prompt_tokens;
    answer(outcome, outcome.ms.prefill);
    return outcome;
  }

  Outcome answer_from_compressed_cache() {
    session_.truncate(std::int32_t(prompt_.size()));  // forget an earlier answer
    Outcome outcome = describe(plan_.method->spec(), plan_.budget.to_string());
    const Timer timer;
    session_.compress(session_.selection());
    const double compress_ms = timer.ms();
    outcome.ms = session_.timings();
    outcome.kept_tokens = session_.n_entries();
    answer(outcome, prefill_ms_ + compress_ms);
    return outcome;
  }

 private:
  Outcome describe(const std::string& method, const std::string& keep) const {
    Outcome outcome;
    outcome.model = session_.model().info().path;
    outcome.method = method;
    outcome.keep = keep;
    outcome.prompt_tokens = std::int32_t(prompt_.size());
    outcome.cells = session_.use(0).cells_allocated;
    outcome.bytes_before = session_.use(0).bytes_used;
    return outcome;
  }

  /// Lets the model answer from the cache as it is; `ms_before` is the time until it could start.
  void answer(Outcome& outcome, double ms_before) {
    outcome.bytes_after = session_.use(0).bytes_used;
    const bool stream = !arguments_.json;
    if (stream && arguments_.compare) print(fmt::format("== {} ==\n", title(outcome)));
    text::Sampler sampler(session_.model(), arguments_.sampling);
    const auto show = [stream](std::string_view piece) {
      if (stream) print(piece);
    };
    outcome.answer =
        text::generate(session_, logits_, sampler,
                       {.n_predict = arguments_.predict, .emit = show, .interrupted = stop_requested});
    outcome.first_token_ms = ms_before + outcome.answer.first_ms;
    if (stream) print(arguments_.compare ? "\n\n" : "\n");
  }

  const RunArguments& arguments_;
  Plan plan_;
  Session& session_;
  std::vector<Token> prompt_;
  std::vector<float> logits_;
  double prefill_ms_ = 0;
};

void run(const RunArguments& arguments) {
  // What can be wrong in the arguments is found before the model is loaded.
  const Plan wanted = plan(arguments.compression);
  SessionOptions options = session_options(arguments.model);
  if (!options.flash_attention && !wanted.method->keeps_all()) {
    throw UsageError("a cache without flash attention cannot be compressed; use -fa on, or --method full");
  }
  const std::string text = read_prompt(arguments.prompt);

  const auto model = load_model(arguments.model);
  const auto prompt = tokenize_prompt(*model, arguments.prompt, text);
  options.n_cells = cells_for(arguments.model, *model, prompt.size(), arguments.predict);
  const auto session = open_session(model, options);

  Run run(arguments, wanted, *session, prompt);
  run.read();
  std::vector<Outcome> outcomes;
  if (arguments.compare) outcomes.push_back(run.answer_from_full_cache());
  if (!stop_requested()) outcomes.push_back(run.answer_from_compressed_cache());

  if (!arguments.json) {
    print_error(figures(outcomes));
    return;
  }
  auto json = to_json(outcomes.back());
  if (outcomes.size() > 1) json["full"] = to_json(outcomes.front());
  print(dump(json) + "\n");
}

}  // namespace

void add_run(CLI::App& app) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App& command = *app.add_subcommand("run", "read a prompt, compress its cache, answer");
  add_model_options(command, arguments->model);
  add_prompt_options(command, arguments->prompt);
  add_compression_options(command, arguments->compression);
  command.add_flag("--compare", arguments->compare, "answer from the full cache as well, after one reading");
  command
      .add_option("-n,--predict,--n-predict", arguments->predict,
                  fmt::format("tokens of the answer at most (default: {})", arguments->predict))
      ->option_text("N")
      ->check(CLI::Range(1, 1 << 24));
  command.add_flag("--json", arguments->json, "print one JSON object instead of text and figures");
  add_progress_options(command, arguments->progress);
  add_sampling_options(command, arguments->sampling);
  command.callback([arguments] { run(*arguments); });
}

}  // namespace chunkkv::cli
