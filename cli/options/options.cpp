#include "cli/options/options.h"

#include "cli/files/inputs.h"
#include "cli/options/option_group.h"
#include "cli/options/sampler_options.h"
#include "cli/show/weight_view.h"
#include "cli/terminal/engine_log.h"
#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"
#include "text/cell_steps.h"

#include <chunkkv/prompt_attention.h>
#include <chunkkv/registry.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

namespace chunkkv::cli {
namespace {

/// By ObserverKind.
constexpr std::array<std::string_view, 3> kObservers = {"question", "window", "both"};

/// Whether flash attention is on. llama.cpp's "auto" counts as on, as only then a cache can be compressed.
bool is_on(std::string_view flash_attention) {
  if (flash_attention == "on" || flash_attention == "auto") return true;
  if (flash_attention == "off") return false;
  throw UsageError(fmt::format("--flash-attn (-fa) is 'on', 'off' or 'auto', not '{}'", flash_attention));
}

/// The threads to use of those asked for. The engine's threads wait for each other by spinning: somewhat more
/// threads than cores make everything slow, many more stop the machine.
std::int32_t limited_threads(std::int32_t asked) {
  const auto n_cores = std::int32_t(std::thread::hardware_concurrency());
  if (n_cores <= 0 || asked <= 2 * n_cores) return asked;
  const bool is_hopeless = asked > 8 * n_cores;
  print_error(fmt::format(
      "{} threads on {} cores wait for each other by spinning and make everything slow; {}\n", asked, n_cores,
      is_hopeless ? fmt::format("{} are used", n_cores) : fmt::format("use -t {} or fewer", n_cores)));
  return is_hopeless ? n_cores : asked;
}

}  // namespace

void add_model_options(CLI::App& app, ModelArguments& arguments, const std::string& cells) {
  const OptionGroup options(app, "Model and cache");
  reads_model(options.add("-m,--model", arguments.model, "GGUF file", "FILE"));
  options.add("-c,--ctx-size", arguments.ctx_size, fmt::format("cells of the cache (default: {})", cells),
              "N", 0, kMaxCount);
  options.add("-t,--threads", arguments.threads, "CPU threads (default: all cores)", "N", 0, 1024);
  options.add("--ubatch-size", arguments.ubatch,
              fmt::format("-ub: prompt tokens computed together (default: {})", arguments.ubatch), "N", 1,
              kMaxCount);
  options.add("--cache-type-k", arguments.type_k,
              "-ctk: type of cached keys: f32, f16 (default), bf16, q8_0, q4_0, ...", "TYPE");
  options.add("--cache-type-v", arguments.type_v, "-ctv: type of cached values, likewise", "TYPE");
  options.add("--flash-attn", arguments.flash_attention,
              "-fa: on (default), auto (on) or off; off: observe only, no compression", "on|off|auto");
  options.add("--gpu-layers,--n-gpu-layers", arguments.gpu_layers,
              "-ngl: layers computed on the GPU, where there is one (default: all)", "N");
  options.flag("--no-kv-offload", arguments.no_kv_offload, "-nkvo: keep the cache in main memory");
  options.flag("--no-fast-prefill", arguments.no_fast_prefill,
               "compute with llama.cpp's own products and attention only");
  options.flag("-v,--verbose", arguments.verbose, "show llama.cpp's messages");
  add_device_options(app, arguments.devices);
}

void add_compression_options(CLI::App& app, CompressionArguments& arguments) {
  const OptionGroup options(app, "Compression");
  options.add(
      "--method", arguments.method,
      fmt::format("method, as chunkkv:chunk=20; see `chunkkv methods` (default: {})", arguments.method),
      "SPEC");
  options.add(
      "--keep", arguments.keep,
      fmt::format("share (10%, 0.1) or tokens (512) of the prompt to keep (default: {})", arguments.keep),
      "BUDGET");
}

void add_keep_at_least(CLI::App& app, CompressionArguments& arguments) {
  arguments.keep_at_least = 256;
  OptionGroup(app, "Compression")
      .add("--keep-at-least", arguments.keep_at_least,
           fmt::format("tokens that a share keeps of any prompt, so that a short one is kept whole; 0: no "
                       "floor (default: {})",
                       arguments.keep_at_least),
           "N", 0, kMaxCount);
}

void add_sampling_options(CLI::App& app, text::Sampling& arguments) {
  const OptionGroup options(app, "Sampling");
  add_sampler_options(options, arguments, "temperature; 0 (default): always the most likely token",
                      "seed of the sampling (default: 0), -1: a random one");
  options.flag("--ignore-eos", arguments.ignore_eos, "go on after the end of the answer, to the limit -n");
}

SessionOptions session_options(const ModelArguments& arguments) {
  SessionOptions options;
  options.n_threads = limited_threads(arguments.threads);
  options.n_ubatch = arguments.ubatch;
  if (!arguments.type_k.empty()) options.type_k = parse_cache_type(arguments.type_k);
  if (!arguments.type_v.empty()) options.type_v = parse_cache_type(arguments.type_v);
  options.flash_attention = is_on(arguments.flash_attention);
  options.offload_kv = !arguments.no_kv_offload;
  return options;
}

SessionOptions with_cache_types(SessionOptions options, const std::string& type) {
  if (!type.empty()) options.type_k = options.type_v = parse_cache_type(type);
  return options;
}

Plan plan(const CompressionArguments& arguments) {
  Plan plan;
  plan.method = make_method(arguments.method);
  const Budget budget = Budget::parse(arguments.keep);
  if (!plan.method->keeps_all()) plan.budget = budget;
  plan.fit_window = true;
  plan.keep_at_least = arguments.keep_at_least;
  return plan;
}

std::string small_budget_note(const ResolvedPlan& resolved) {
  const Target& target = resolved.target;
  if (resolved.share_alone > 0 && resolved.keeps_all())
    return fmt::format(
        "all {} tokens are kept, not the {} of the share: so short a prompt is kept whole "
        "(--keep-at-least)\n",
        target.n_entries, resolved.share_alone);
  if (resolved.share_alone > 0)
    return fmt::format(
        "{} of {} tokens are kept, not the {} of the share: that is the least (--keep-at-least)\n",
        target.budget, target.n_entries, resolved.share_alone);
  if (resolved.window > 0) {
    return fmt::format(
        "a budget of {} tokens is smaller than twice the window of {}: the window shrinks to {}\n",
        target.budget, resolved.asked_window, resolved.window);
  }
  return {};
}

ObserverKind parse_observer(std::string_view name) {
  const auto found = std::find(kObservers.begin(), kObservers.end(), name);
  if (found == kObservers.end())
    throw UsageError(fmt::format("--observer is question, window or both, not '{}'", name));
  return ObserverKind(found - kObservers.begin());
}

std::string_view to_string(ObserverKind observer) {
  return kObservers.at(std::size_t(observer));
}

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    parts.emplace_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::vector<std::string> split_methods(std::string_view list) {
  std::vector<std::string> specs;
  for (const std::string& part : split_list(list)) {
    const bool is_parameter = part.find('=') < part.find(':') && !specs.empty();
    if (is_parameter)
      specs.back() += "," + part;
    else
      specs.push_back(part);
  }
  return specs;
}

std::int32_t cells_for(const ModelArguments& arguments, const Model& model, std::size_t n_prompt,
                       std::int32_t n_predict) {
  const std::int64_t trained = model.info().n_ctx_train;
  const auto prompt = std::int64_t(n_prompt);
  if (arguments.ctx_size > 0 && prompt > arguments.ctx_size) {
    throw UsageError(fmt::format(
        "the prompt has {} tokens, but the cache only {} cells; give a larger -c or a shorter text", prompt,
        arguments.ctx_size));
  }
  if (arguments.ctx_size > 0) return arguments.ctx_size;
  if (prompt > trained) {
    throw UsageError(fmt::format(
        "the prompt has {} tokens, but this model was trained for {}; give a shorter text, or -c {} "
        "to read it all the same",
        prompt, trained, prompt + n_predict));
  }
  return std::int32_t(std::min(text::round_up_cells(prompt + n_predict), trained));
}

std::int32_t answer_length(std::int32_t asked, const Model& model, std::size_t n_prompt) {
  if (asked >= 0) return asked;
  return std::int32_t(std::max<std::int64_t>(1, model.info().n_ctx_train - std::int64_t(n_prompt)));
}

void require_flash_attention(const SessionOptions& options) {
  if (!options.flash_attention)
    throw UsageError("a cache without flash attention cannot be compressed; use -fa on");
}

std::shared_ptr<Model> load_model(const ModelArguments& arguments) {
  if (arguments.model.empty()) throw UsageError("no model given; name a GGUF file with -m FILE");
  set_engine_log(arguments.verbose);
  ModelOptions options{.n_gpu_layers = arguments.gpu_layers, .fast_prefill = !arguments.no_fast_prefill};
  apply(arguments.devices, options);
  return Model::load(arguments.model, options);
}

std::unique_ptr<Session> open_session(std::shared_ptr<Model> model, SessionOptions options) {
  options.interrupted = stop_requested;
  auto session = std::make_unique<Session>(std::move(model), options);
  if (shows_engine_log())
    print_error(fmt::format("{}\nattention: prompts by {}\n", weight_text(session->weights()),
                            prompt_attention(session->model())));
  return session;
}

}  // namespace chunkkv::cli
