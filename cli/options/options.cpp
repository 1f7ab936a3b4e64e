#include "cli/options/options.h"

#include "cli/files/inputs.h"
#include "cli/show/weight_view.h"
#include "cli/terminal/engine_log.h"
#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"
#include "text/cell_steps.h"

#include <chunkkv/prompt_attention.h>
#include <chunkkv/registry.h>

#include <fmt/format.h>
#include <llama.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <thread>
#include <utility>

namespace chunkkv::cli {
namespace {

/// Whether flash attention is on: llama.cpp's "auto" is, as only such a cache can be compressed.
bool is_on(std::string_view flash_attention) {
  if (flash_attention == "on" || flash_attention == "auto") return true;
  if (flash_attention == "off") return false;
  throw UsageError(fmt::format("--flash-attn (-fa) is 'on', 'off' or 'auto', not '{}'", flash_attention));
}

/// The engine's threads spin while they wait for each other: some more than there are cores make everything
/// slow, many more stop the machine.
std::int32_t bearable_threads(std::int32_t asked) {
  const auto n_cores = std::int32_t(std::thread::hardware_concurrency());
  if (n_cores <= 0 || asked <= 2 * n_cores) return asked;
  const bool is_hopeless = asked > 8 * n_cores;
  print_error(fmt::format(
      "{} threads on {} cores wait for each other by spinning and make everything slow; {}\n", asked, n_cores,
      is_hopeless ? fmt::format("{} are used", n_cores) : fmt::format("use -t {} or fewer", n_cores)));
  return is_hopeless ? n_cores : asked;
}

}  // namespace

void add_model_options(CLI::App& app, ModelArguments& arguments) {
  const std::string group = "Model and cache";
  reads_model(app.add_option("-m,--model", arguments.model, "GGUF file"))->group(group)->option_text("FILE");
  app.add_option("-c,--ctx-size", arguments.ctx_size,
                 "cells of the cache (default: what prompt and answer need)")
      ->group(group)
      ->option_text("N")
      ->check(CLI::Range(0, kMaxCount));
  app.add_option("-t,--threads", arguments.threads, "CPU threads (default: all cores)")
      ->group(group)
      ->option_text("N")
      ->check(CLI::Range(0, 1024));
  app.add_option("--ubatch-size", arguments.ubatch,
                 fmt::format("-ub: prompt tokens computed together (default: {})", arguments.ubatch))
      ->group(group)
      ->option_text("N")
      ->check(CLI::Range(1, kMaxCount));
  app.add_option("--cache-type-k", arguments.type_k,
                 "-ctk: type of cached keys: f32, f16 (default), bf16, q8_0, q4_0, ...")
      ->group(group)
      ->option_text("TYPE");
  app.add_option("--cache-type-v", arguments.type_v, "-ctv: type of cached values, likewise")
      ->group(group)
      ->option_text("TYPE");
  app.add_option("--flash-attn", arguments.flash_attention,
                 "-fa: on (default), auto (on) or off; off: observe only, no compression")
      ->group(group)
      ->option_text("on|off|auto");
  app.add_option("--gpu-layers,--n-gpu-layers", arguments.gpu_layers,
                 "-ngl: layers computed on the GPU, where there is one (default: all)")
      ->group(group)
      ->option_text("N");
  app.add_flag("--no-kv-offload", arguments.no_kv_offload, "-nkvo: keep the cache in main memory")
      ->group(group);
  app.add_flag("--no-fast-prefill", arguments.no_fast_prefill,
               "compute with llama.cpp's own products and attention only")
      ->group(group);
  app.add_flag("-v,--verbose", arguments.verbose, "show llama.cpp's messages")->group(group);
  add_device_options(app, arguments.devices);
}

void add_compression_options(CLI::App& app, CompressionArguments& arguments) {
  const std::string group = "Compression";
  app.add_option(
         "--method", arguments.method,
         fmt::format("method, as chunkkv:chunk=20; see `chunkkv methods` (default: {})", arguments.method))
      ->group(group)
      ->option_text("SPEC");
  app.add_option(
         "--keep", arguments.keep,
         fmt::format("share (10%, 0.1) or tokens (512) of the prompt to keep (default: {})", arguments.keep))
      ->group(group)
      ->option_text("BUDGET");
}

void add_keep_at_least(CLI::App& app, CompressionArguments& arguments) {
  arguments.keep_at_least = 256;
  app.add_option(
         "--keep-at-least", arguments.keep_at_least,
         fmt::format("tokens that a share keeps of any prompt, so that a short one is kept whole; 0: no "
                     "floor (default: {})",
                     arguments.keep_at_least))
      ->group("Compression")
      ->option_text("N")
      ->check(CLI::Range(0, kMaxCount));
}

void add_sampling_options(CLI::App& app, text::Sampling& arguments) {
  const std::string group = "Sampling";
  app.add_option("--temp,--temperature", arguments.temperature,
                 "temperature; 0 (default): always the most likely token")
      ->group(group)
      ->option_text("X")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-k", arguments.top_k, "only the K most likely tokens, 0: all (default: 40)")
      ->group(group)
      ->option_text("K")
      ->check(CLI::Range(0, 1 << 24));
  app.add_option("--top-p", arguments.top_p,
                 "only the most likely tokens of this total probability (default: 0.95)")
      ->group(group)
      ->option_text("X")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--min-p", arguments.min_p,
                 "only tokens of this share of the best one's probability (default: 0.05)")
      ->group(group)
      ->option_text("X")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("-s,--seed", arguments.seed, "seed of the sampling (default: 0), -1: a random one")
      ->group(group)
      ->option_text("N")
      ->check(CLI::Range(std::int64_t{-1}, std::int64_t{UINT32_MAX} - 1));
  app.add_flag("--ignore-eos", arguments.ignore_eos, "go on after the end of the answer, to the limit -n")
      ->group(group);
}

SessionOptions session_options(const ModelArguments& arguments) {
  SessionOptions options;
  options.n_threads = bearable_threads(arguments.threads);
  options.n_ubatch = arguments.ubatch;
  if (!arguments.type_k.empty()) options.type_k = parse_cache_type(arguments.type_k);
  if (!arguments.type_v.empty()) options.type_v = parse_cache_type(arguments.type_v);
  options.flash_attention = is_on(arguments.flash_attention);
  options.offload_kv = !arguments.no_kv_offload;
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

std::string note(const ResolvedPlan& resolved) {
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
  return std::int32_t(std::min(text::in_cell_steps(prompt + n_predict), trained));
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

std::unique_ptr<Session> open_session(std::shared_ptr<Model> model, const SessionOptions& options) {
  auto session = std::make_unique<Session>(std::move(model), options);
  llama_set_abort_callback(
      session->handle(), [](void*) { return stop_requested(); }, nullptr);
  if (shows_engine_log())
    print_error(fmt::format("{}\nattention: prompts by {}\n", weight_text(session->weights()),
                            prompt_attention(session->model())));
  return session;
}

}  // namespace chunkkv::cli
