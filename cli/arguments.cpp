#include "arguments.h"

#include <array>
#include <string_view>
#include <utility>

namespace chunkkv::cli {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kShortOptions = {{
    {"-ctk", "--cache-type-k"},
    {"-ctv", "--cache-type-v"},
    {"-fa", "--flash-attn"},
    {"-ngl", "--gpu-layers"},
    {"-nkvo", "--no-kv-offload"},
    {"-sys", "--system-prompt"},
    {"-ub", "--ubatch-size"},
}};

}  // namespace

std::vector<std::string> spell_out(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    for (const auto& [short_name, long_name] : kShortOptions) {
      if (argument == short_name) argument = long_name;
    }
  }
  return arguments;
}

}  // namespace chunkkv::cli
