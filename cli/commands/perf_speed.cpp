#include "cli/commands/perf.h"
#include "cli/commands/settings.h"
#include "cli/measure/campaign.h"
#include "cli/measure/machine.h"
#include "cli/measure/speed.h"
#include "cli/show/weight_view.h"
#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"

#include "runner/pairs.h"

#include <chunkkv/registry.h>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>
#include <unordered_map>
#include <utility>

namespace chunkkv::cli {
namespace {

constexpr std::int32_t kInput = 4096;
constexpr std::int32_t kOutput = 1024;
/// Generating a token takes about as long as reading this many of a prompt.
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

/// At least `count` tokens: those of the text, repeated as often as needed, or random ones.
std::vector<Token> tokens(const PerfArguments& arguments, const Model& model, std::int32_t count) {
  std::vector<Token> tokens;
  if (arguments.prompt.text || arguments.prompt.file) {
    tokens = text::PromptLayout(model, arguments.prompt).tokens(read_prompt(arguments.prompt));
    for (std::size_t i = 0; tokens.size() < std::size_t(count); ++i) tokens.push_back(tokens[i]);
  } else {
    std::mt19937 random(1);
    while (tokens.size() < std::size_t(count)) {
      const auto token = Token(random() % std::uint32_t(model.info().n_vocab));
      if (!model.is_end(token)) tokens.push_back(token);
    }
  }
  return tokens;
}

/// Measures the repetitions of all cases in turn; those that the file holds already are not measured again.
class Table {
 public:
  Table(const PerfArguments& arguments, std::vector<SpeedCase> cases)
      : arguments_(arguments), campaign_(arguments.progress, std::chrono::seconds(5)) {
    results_.samples.resize(cases.size());
    results_.cases = std::move(cases);
  }

  void measure(const std::shared_ptr<Model>& model, const SessionOptions& options) {
    const std::int32_t n_system = text::PromptLayout(*model, arguments_.prompt).n_system();
    for (SpeedCase& speed_case : results_.cases)
      speed_case.plan.protect_first = std::max(arguments_.prompt.protect, n_system);
    describe(*model);
    open_file();
    std::int32_t longest = 0;
    for (const SpeedCase& speed_case : results_.cases) longest = std::max(longest, speed_case.input);
    const std::vector<Token> prompt = tokens(arguments_, *model, longest);

    std::vector<std::pair<std::size_t, std::int32_t>> todo;
    for (std::int32_t i = 0; i < arguments_.repetitions; ++i)
      for (std::size_t c = 0; c < results_.cases.size();
           ++c) {  // in turn, so that a slow minute affects all alike
        const auto found = known_.find(results::result_key(identity(record(c, i))));
        if (found != known_.end())
          results_.samples[c].push_back(found->second);
        else
          todo.emplace_back(c, i);
      }
    if (todo.empty()) return;
    campaign_.with_advice([&] { warm_up(model, options, prompt); });
    std::vector<double> efforts;
    for (const auto& [c, i] : todo) efforts.push_back(effort(results_.cases[c]));
    campaign_.run(efforts, [&](std::size_t item) {
      const auto [c, i] = todo[item];
      const SpeedCase& speed_case = results_.cases[c];
      const auto tell = [&, repetition = i](std::int32_t read, std::int32_t generated) {
        return campaign_.report_progress(
            read + kGenerationEffort * generated, [&](double share, const std::string& left) {
              return status(speed_case, repetition, read, generated, share, left);
            });
      };
      const SpeedRun run = measure_speed(model, options, speed_case, prompt, tell);
      weights_ = run.weights;
      results_.samples[c].push_back(run.sample);
      if (campaign_.file()) campaign_.file()->append(to_json(record(c, i), run.sample));
    });
  }

  /// `model`: its path.
  void print_results(const std::string& model) {
    campaign_.status().finish();
    if (arguments_.json) {
      print(results::to_text({{"model", model},
                              {"machine", origin_.machine},
                              {"weights", weight_json(weights_)},
                              {"cases", results_.to_json()}}));
      return;
    }
    const std::string weights = weight_text(weights_);
    print(fmt::format("{}; {}\n{}\n{}", std::filesystem::path(model).filename().string(), origin_.machine,
                      weights.empty() ? "" : weights + "\n", results_.table()));
  }

 private:
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
    settings.add("rpc", given.devices.rpc, usual.devices.rpc);
    settings.add("dev", given.devices.devices, usual.devices.devices);
    settings.add("sm", given.devices.split_mode, usual.devices.split_mode);
    settings.add("ts", given.devices.tensor_split, usual.devices.tensor_split);
    settings.add("mg", given.devices.main_device, usual.devices.main_device);
    settings.add("ot", given.devices.override_tensor, usual.devices.override_tensor);
    settings_ = settings.text();
    origin_ = origin_of(model, given.threads, given.gpu_layers);
  }

  void open_file() {
    campaign_.open(arguments_.output, /*read_only=*/false, [this](const results::Json& line) {
      if (line.at("benchmark") == "perf")
        known_.emplace(results::result_key(line), results::speed_sample(line));
    });
  }

  results::SpeedRecord record(std::size_t index, std::int32_t repetition) const {
    const SpeedCase& speed_case = results_.cases[index];
    return {.origin = origin_,
            .pair = {speed_case.plan.method->spec(), speed_case.plan.budget.to_string()},
            .input = speed_case.input,
            .output = speed_case.output,
            .repetition = repetition,
            .figures = {},
            .settings = settings_,
            .window = speed_case.window};
  }

  /// Lets weights be read from the disk and kernels be set up before anything is measured.
  static void warm_up(const std::shared_ptr<Model>& model, const SessionOptions& options,
                      const std::vector<Token>& prompt) {
    const std::int32_t input = std::min(options.n_ubatch, std::int32_t(prompt.size()));
    measure_speed(model, options, {input, 8, {.method = make_method("full"), .budget = {}}}, prompt,
                  [](std::int32_t, std::int32_t) { return !stop_requested(); });
  }

  static double effort(const SpeedCase& speed_case) {
    return speed_case.input + kGenerationEffort * speed_case.output;
  }

  std::string status(const SpeedCase& speed_case, std::int32_t repetition, std::int32_t read,
                     std::int32_t generated, double share, const std::string& left) const {
    const std::string now = generated == 0
                                ? fmt::format("read {} of {} tokens", read, speed_case.input)
                                : fmt::format("generated {} of {} tokens", generated, speed_case.output);
    return fmt::format("repetition {} of {}, {} + {} tokens, {}: {}; {:.0f} %, about {} left", repetition + 1,
                       arguments_.repetitions, speed_case.input, speed_case.output,
                       eval::to_string(speed_case.plan), now, 100 * share, left);
  }

  const PerfArguments& arguments_;
  Campaign campaign_;
  SpeedResults results_;
  std::unordered_map<std::string, SpeedSample> known_;
  results::Origin origin_;
  std::string settings_;
  /// How the model's weights were laid out; empty where all repetitions came from a file.
  std::vector<WeightUse> weights_;
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
  table.measure(model, options);
  table.print_results(from.model);
}

}  // namespace chunkkv::cli
