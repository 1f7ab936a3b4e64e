#include "cli/options/arguments.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace chunkkv::cli {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array<Pair, 14> kShortOptions = {{
    {"-ctk", "--cache-type-k"},
    {"-ctv", "--cache-type-v"},
    {"-dev", "--device"},
    {"-fa", "--flash-attn"},
    {"-mg", "--main-gpu"},
    {"-ngl", "--gpu-layers"},
    {"-nkvo", "--no-kv-offload"},
    {"-np", "--parallel"},
    {"-ot", "--override-tensor"},
    {"-sm", "--split-mode"},
    {"-sys", "--system-prompt"},
    {"-to", "--timeout"},
    {"-ts", "--tensor-split"},
    {"-ub", "--ubatch-size"},
}};

constexpr std::string_view kNoDownload =
    "models are not downloaded here; fetch the GGUF file and name it with -m FILE";
constexpr std::string_view kChat = "run answers once, and chat converses";
constexpr std::string_view kImages = "prompts are text; of models that see, only the language part is used";
constexpr std::string_view kSampling = "see --temp, --top-k, --top-p and --min-p";

/// Options of llama.cpp that users bring and that do not exist here, with what to use instead.
constexpr std::array<Pair, 31> kElsewhere = {{
    {"-hf", kNoDownload},
    {"-hfr", kNoDownload},
    {"-hff", kNoDownload},
    {"-hft", kNoDownload},
    {"-mu", kNoDownload},
    {"--hf-repo", kNoDownload},
    {"--hf-file", kNoDownload},
    {"--model-url", kNoDownload},
    {"-cnv", kChat},
    {"-no-cnv", kChat},
    {"--conversation", kChat},
    {"--no-conversation", kChat},
    {"-st", kChat},
    {"--single-turn", kChat},
    {"-i", kChat},
    {"--interactive", kChat},
    {"-b", "prompts are read -ub tokens at a time"},
    {"--batch-size", "prompts are read -ub tokens at a time"},
    {"-tb", "-t counts for prompts as well"},
    {"--threads-batch", "-t counts for prompts as well"},
    {"-bf", "-f reads any file"},
    {"-mm", kImages},
    {"--mmproj", kImages},
    {"--image", kImages},
    {"--audio", kImages},
    {"--video", kImages},
    {"--no-escape", "nothing is unescaped without -e"},
    {"--repeat-penalty", kSampling},
    {"--samplers", kSampling},
    {"--context-shift", "run holds an answer to the budget with --buffer"},
    {"--no-context-shift", "without --buffer nothing is dropped while answering"},
}};

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isdigit(c) || c == '.' || c == '-';
  });
}

void refuse_unknown(std::string_view argument) {
  const std::string_view name = argument.substr(0, argument.find('='));
  for (const auto& [option, instead] : kElsewhere)
    if (name == option) throw UsageError(fmt::format("there is no option {} here: {}", option, instead));
  const bool has_letters =
      argument.size() > 2 && argument[0] == '-' && std::isalpha(static_cast<unsigned char>(argument[1]));
  if (!has_letters || is_number(argument.substr(2))) return;
  throw UsageError(fmt::format(
      "there is no option {}; values stand apart, as in -m FILE, and a text that begins with a dash is "
      "given as --prompt=TEXT or --question=TEXT",
      argument));
}

}  // namespace

std::vector<std::string> spell_out(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    if (argument == "--") break;  // no options follow
    const auto known = std::find_if(kShortOptions.begin(), kShortOptions.end(),
                                    [&](const Pair& option) { return option.first == argument; });
    if (known != kShortOptions.end())
      argument = known->second;
    else
      refuse_unknown(argument);
  }
  return arguments;
}

std::string with_short_names(std::string message) {
  for (const auto& [short_name, long_name] : kShortOptions) {
    const std::size_t at = message.find(long_name);
    if (at == std::string::npos) continue;
    const std::size_t end = at + long_name.size();
    const bool is_whole = end == message.size() ||
                          !(std::isalnum(static_cast<unsigned char>(message[end])) || message[end] == '-');
    if (is_whole) message.insert(end, fmt::format(" ({})", short_name));
  }
  return message;
}

}  // namespace chunkkv::cli
