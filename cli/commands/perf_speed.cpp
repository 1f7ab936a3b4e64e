#include "cli/commands/perf.h"
#include "cli/commands/settings.h"
#include "cli/files/inputs.h"
#include "cli/measure/machine.h"
#include "cli/measure/speed.h"
#include "cli/show/outcome.h"
#include "cli/show/weight_view.h"
#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"

#include "runner/pairs.h"
#include "runner/result_file.h"

#include <chunkkv/model_identity.h>
#include <chunkkv/registry.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <random>
#include <unordered_map>
#include <utility>

namespace chunkkv::cli {
namespace {

constexpr std::int32_t kInput = 4096;
constexpr std::int32_t kOutput = 1024;
/// A generated token takes about as long as this many of a prompt.
constexpr double kGenerationEffort = 4;

std::vector<SpeedCase> cases(const PerfArguments& arguments) {
  std::vector<std::int32_t> inputs = arguments.inputs, outputs = arguments.outputs;
  if (inputs.empty()) inputs = {arguments.n_prompt > 0 ? arguments.n_prompt : kInput};
  if (outputs.empty()) outputs = {arguments.predict.value_or(kOutput)};
  std::vector<std::string> methods = split_methods(arguments.methods);
  methods.insert(methods.begin(), "full");  // what the others are compared with
  const std::vector<Plan> pairs = eval::make_pairs(methods, split_list(arguments.keep));
  std::vector<SpeedCase> cases;
  for (const std::int32_t input : inputs) {
    for (const std::int32_t output : outputs) {
      for (Plan pair : pairs) {
        pair.protect_first = arguments.prompt.protect;
        try {
          cases.push_back({input, output, pair, pair.at(input, input, 1).window});
        } catch (const UsageError& error) {
          throw UsageError(fmt::format("{} of {} tokens: {}", eval::to_string(pair), input, error.what()));
        }
      }
    }
  }
  return cases;
}

/// As many as the longest input: the text's, over and over, or random ones.
std::vector<Token> tokens(const PerfArguments& arguments, const Model& model, std::int32_t n_vocab,
                          std::int32_t count) {
  std::vector<Token> tokens;
  if (arguments.prompt.text || arguments.prompt.file) {
    tokens = tokenize_prompt(model, arguments.prompt, read_prompt(arguments.prompt));
    for (std::size_t i = 0; tokens.size() < std::size_t(count); ++i) tokens.push_back(tokens[i]);
  } else {
    std::mt19937 random(1);
    while (tokens.size() < std::size_t(count)) {
      const auto token = Token(random() % std::uint32_t(n_vocab));
      if (!model.is_end(token)) tokens.push_back(token);
    }
  }
  return tokens;
}

/// Repetitions of all cases in turn, those that a file holds already left out.
class Table {
 public:
  Table(const PerfArguments& arguments, std::vector<SpeedCase> cases)
      : arguments_(arguments), line_(arguments.progress, std::chrono::seconds(5)) {
    results_.samples.resize(cases.size());
    results_.cases = std::move(cases);
  }

  void measure(const std::shared_ptr<Model>& model, const SessionOptions& options) {
    for (SpeedCase& what : results_.cases)
      what.plan.protect_first = protected_tokens(*model, arguments_.prompt);
    describe(*model);
    open_file();
    std::int32_t longest = 0;
    for (const SpeedCase& what : results_.cases) longest = std::max(longest, what.input);
    const std::vector<Token> prompt = tokens(arguments_, *model, n_vocab_, longest);

    std::vector<std::pair<std::size_t, std::int32_t>> todo;
    for (std::int32_t i = 0; i < arguments_.repetitions; ++i)
      for (std::size_t c = 0; c < results_.cases.size();
           ++c) {  // in turn, so that a slow minute strikes all alike
        const auto found = known_.find(eval::result_key(identity(c, i)));
        if (found != known_.end())
          results_.samples[c].push_back(found->second);
        else
          todo.emplace_back(c, i);
      }
    if (todo.empty()) return;
    warm_up(model, options, prompt);
    for (const auto& [c, i] : todo) effort_ += effort(results_.cases[c]);
    start_ = Clock::now();
    for (const auto& [c, i] : todo) {
      const SpeedCase& what = results_.cases[c];
      const SpeedSample sample = measure_speed(
          model, options, what, prompt, [&, repetition = i](std::int32_t read, std::int32_t generated) {
            if (line_.due()) line_.show(status(what, repetition, read, generated));
            return !stop_requested();
          });
      effort_done_ += effort(what);
      weights_ = sample.weights;
      results_.samples[c].push_back(sample);
      if (file_) file_->append(line(c, i, sample));
    }
  }

  void finish() { line_.finish(); }
  const SpeedResults& results() const { return results_; }
  const std::string& machine_name() const { return machine_; }
  /// Empty where all came from a file.
  const std::vector<WeightUse>& weights() const { return weights_; }
  std::string advice() const {
    if (!file_) return "";
    return fmt::format("; '{}' holds {} results, and the same command goes on from there", file_->path(),
                       file_->n_lines());
  }

 private:
  using Clock = std::chrono::steady_clock;

  void describe(const Model& model) {
    const ModelArguments& given = arguments_.model;
    const ModelArguments usual;
    Settings settings;
    settings.add("ub", given.ubatch, usual.ubatch);
    settings.add("ctk", given.type_k, usual.type_k);
    settings.add("ctv", given.type_v, usual.type_v);
    settings.add("ngl", given.gpu_layers, usual.gpu_layers);
    settings.add("nkvo", given.no_kv_offload, usual.no_kv_offload);
    settings.add("no-fast-prefill", given.no_fast_prefill, usual.no_fast_prefill);
    settings_ = settings.text();
    machine_ = machine(given.threads, given.gpu_layers);
    model_ = std::filesystem::path(model.info().path).filename().string();
    const ModelIdentity identity = identify(model);
    model_hash_ = identity.hash;
    n_vocab_ = identity.n_vocab;
  }

  void open_file() {
    if (arguments_.output.empty()) return;
    refuse_input(arguments_.output);
    file_ = std::make_unique<eval::ResultFile>(arguments_.output, [this](const eval::Json& line) {
      if (line.at("benchmark") == "perf") known_.emplace(eval::result_key(line), speed_sample(line));
    });
  }

  eval::Json identity(std::size_t index, std::int32_t repetition) const {
    const SpeedCase& what = results_.cases[index];
    eval::Json line = {{"benchmark", "perf"},
                       {"method", what.plan.method->spec()},
                       {"keep", what.plan.budget.to_string()},
                       {"input", what.input},
                       {"output", what.output},
                       {"repetition", repetition},
                       {"model_hash", model_hash_},
                       {"machine", machine_}};
    if (!settings_.empty()) line["settings"] = settings_;
    if (what.window > 0) line["window"] = what.window;
    return line;
  }

  eval::Json line(std::size_t index, std::int32_t repetition, const SpeedSample& sample) const {
    eval::Json line = identity(index, repetition);
    line.update(to_json(sample, results_.cases[index]));
    line["model"] = model_;
    line["version"] = CHUNKKV_VERSION;
    return line;
  }

  /// Weights are read from the disk and kernels are set up before anything is measured.
  static void warm_up(const std::shared_ptr<Model>& model, const SessionOptions& options,
                      const std::vector<Token>& prompt) {
    const std::int32_t input = std::min(options.n_ubatch, std::int32_t(prompt.size()));
    measure_speed(model, options, {input, 8, {.method = make_method("full"), .budget = {}}}, prompt,
                  [](std::int32_t, std::int32_t) { return !stop_requested(); });
  }

  static double effort(const SpeedCase& what) { return what.input + kGenerationEffort * what.output; }

  std::string status(const SpeedCase& what, std::int32_t repetition, std::int32_t read,
                     std::int32_t generated) const {
    const double share = (effort_done_ + read + kGenerationEffort * generated) / effort_;
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const std::string now = generated == 0 ? fmt::format("read {} of {} tokens", read, what.input)
                                           : fmt::format("generated {} of {} tokens", generated, what.output);
    return fmt::format("repetition {} of {}, {} + {} tokens, {}: {}; {:.0f} %, about {} left", repetition + 1,
                       arguments_.repetitions, what.input, what.output, eval::to_string(what.plan), now,
                       100 * share, duration(seconds * (1 - share) / share));
  }

  const PerfArguments& arguments_;
  StatusLine line_;
  SpeedResults results_;
  std::unordered_map<std::string, SpeedSample> known_;
  std::unique_ptr<eval::ResultFile> file_;
  std::string settings_, machine_, model_, model_hash_;
  std::vector<WeightUse> weights_;
  std::int32_t n_vocab_ = 0;
  double effort_ = 0, effort_done_ = 0;
  Clock::time_point start_ = Clock::now();
};

}  // namespace

void tabulate_speed(const PerfArguments& arguments) {
  std::vector<SpeedCase> all = cases(arguments);
  const SessionOptions options = session_options(arguments.model);
  require_flash_attention(options);
  ModelArguments from = arguments.model;
  if (!arguments.synthetic.shape.empty())
    from.model = synthetic_model(arguments.synthetic, from.model, arguments.progress);
  const auto model = load_model(from);

  Table table(arguments, std::move(all));
  try {
    table.measure(model, options);
  } catch (const Interrupted&) {
    table.finish();
    throw Interrupted("interrupted" + table.advice());
  }
  table.finish();
  if (!arguments.json) {
    const std::string weights = weight_text(table.weights());
    print(fmt::format("{}; {}\n{}\n{}", std::filesystem::path(from.model).filename().string(),
                      table.machine_name(), weights.empty() ? "" : weights + "\n", table.results().table()));
    return;
  }
  print(dump({{"model", from.model},
              {"machine", table.machine_name()},
              {"weights", weight_json(table.weights())},
              {"cases", table.results().to_json()}}) +
        "\n");
}

}  // namespace chunkkv::cli
