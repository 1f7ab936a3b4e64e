#pragma once

#include "cli/options/device_options.h"
#include "text/sampler.h"

#include <chunkkv/reading.h>
#include <chunkkv/session.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// Options that several subcommands share. Names are llama.cpp's where it has them.
namespace chunkkv::cli {

/// The largest number that options take where nothing else bounds it.
inline constexpr std::int32_t kMaxCount = 1 << 24;

struct ModelArguments {
  std::string model;
  std::int32_t gpu_layers = -1;
  std::int32_t ctx_size = 0;  ///< cells; 0: what the command needs or takes by default
  std::int32_t threads = 0;
  std::int32_t ubatch = SessionOptions{}.n_ubatch;
  std::string type_k, type_v;  ///< empty: f16, or a cache file's
  std::string flash_attention = "on";
  bool no_kv_offload = false;
  bool no_fast_prefill = false;
  bool verbose = false;
  DeviceArguments devices;
};

/// The default method where nothing is known of the questions to come.
inline constexpr std::string_view kAgnosticMethod = "hybrid:queries=all";

struct CompressionArguments {
  std::string method = "hybrid";
  std::string keep = "10%";
  std::int32_t keep_at_least = 0;  ///< tokens to keep of any prompt where `keep` is a share
};

/// `cells`: how many cells there are without -c, for the help.
void add_model_options(CLI::App& app, ModelArguments& arguments,
                       const std::string& cells = "what prompt and answer need");
void add_compression_options(CLI::App& app, CompressionArguments& arguments);
/// --keep-at-least, for commands that answer: a short prompt is kept whole there.
void add_keep_at_least(CLI::App& app, CompressionArguments& arguments);
void add_sampling_options(CLI::App& app, text::Sampling& arguments);

/// The session's options but for the number of cells. UsageError where a value is not allowed.
SessionOptions session_options(const ModelArguments& arguments);
/// The options with `type` for keys and values, or as they are where it is empty. UsageError for a wrong one.
SessionOptions with_cache_types(SessionOptions options, const std::string& type);
/// UsageError without flash attention, where the cache can be observed but not compressed.
void require_flash_attention(const SessionOptions& options);

/// The plan that the options ask for, without the protected tokens, for which a model is needed: see
/// `plan_of`. UsageError says what is allowed.
Plan plan(const CompressionArguments& arguments);

/// What a small budget changed, as a line for people: that more is kept than the share (--keep-at-least), or
/// that the window shrank. Empty when nothing was changed.
std::string small_budget_note(const ResolvedPlan& resolved);

/// The observer named "question", "window" or "both". UsageError for another name lists these.
ObserverKind parse_observer(std::string_view name);
std::string_view to_string(ObserverKind observer);

/// Splits a list into method specs: "a,b:x=1,y=2,c" -> a | b:x=1,y=2 | c. Parameters stay with their method.
std::vector<std::string> split_methods(std::string_view list);

/// "a,b" -> a | b.
std::vector<std::string> split_list(std::string_view list);

/// Cells for a prompt and `n_predict` tokens after it: -c, or as many as needed within the trained context.
/// UsageError when the prompt does not fit.
std::int32_t cells_for(const ModelArguments& arguments, const Model& model, std::size_t n_prompt,
                       std::int32_t n_predict);

/// The most tokens that an answer may have: `asked`, or where that is negative what the trained context holds
/// after the prompt, at least 1.
std::int32_t answer_length(std::int32_t asked, const Model& model, std::size_t n_prompt);

/// Loads the model; llama.cpp's messages are shown only with --verbose. UsageError without --model.
std::shared_ptr<Model> load_model(const ModelArguments& arguments);

/// A session whose work stops soon after Ctrl-C.
std::unique_ptr<Session> open_session(std::shared_ptr<Model> model, SessionOptions options);

}  // namespace chunkkv::cli
