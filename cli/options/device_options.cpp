#include "cli/options/device_options.h"

#include "cli/options/option_group.h"
#include "cli/options/options.h"
#include "cli/show/units.h"
#include "cli/terminal/engine_log.h"

#include <chunkkv/devices.h>
#include <chunkkv/error.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>

namespace chunkkv::cli {
namespace {

std::vector<float> shares(const std::string& text) {
  std::string list = text;
  std::replace(list.begin(), list.end(), '/', ',');
  std::vector<float> result;
  for (const std::string& share : split_list(list)) {
    char* end = nullptr;
    result.push_back(std::strtof(share.c_str(), &end));
    if (share.empty() || *end != '\0')
      throw UsageError(
          fmt::format("'{}' is no list of shares; give numbers, as in --tensor-split 3,1", text));
  }
  return result;
}

}  // namespace

void add_device_options(CLI::App& app, DeviceArguments& arguments) {
  const OptionGroup options(app, "Devices");
  options.add("--rpc", arguments.rpc,
              "other machines to put layers on: addresses of llama.cpp's ggml-rpc-server", "HOST:PORT,...");
  options.add("--device", arguments.devices,
              "-dev: devices to use, in this order, or none (default: all; --list-devices names them)",
              "NAME,...");
  options.add("--split-mode", arguments.split_mode, "-sm: layer (default), row or none", "layer|row|none")
      ->check(CLI::IsMember({"layer", "row", "none"}));
  options.add("--tensor-split", arguments.tensor_split,
              "-ts: shares of the devices, as 3,1 (default: by their free memory)", "SHARE,...");
  options.add(
      "--main-gpu", arguments.main_device,
      fmt::format("-mg: the device of --split-mode none and row (default: {})", arguments.main_device),
      "INDEX", 0, 255);
  options.add("--override-tensor", arguments.override_tensor,
              "-ot: tensors whose names match go to a memory, as exps=CPU", "PATTERN=MEMORY,...");
  options.flag("--list-devices", arguments.list, "print the devices that layers can be put on, and exit");
}

void apply(const DeviceArguments& arguments, ModelOptions& options) {
  if (!arguments.rpc.empty()) {
    add_rpc_servers(split_list(arguments.rpc));
    report_lost_servers();
    std::signal(SIGPIPE, SIG_IGN);  // the engine writes to a server that may be gone
  }
  if (!arguments.devices.empty()) options.devices = split_list(arguments.devices);
  options.split_mode = arguments.split_mode == "none"  ? SplitMode::none
                       : arguments.split_mode == "row" ? SplitMode::row
                                                       : SplitMode::layer;
  options.main_device = arguments.main_device;
  if (!arguments.tensor_split.empty()) options.tensor_split = shares(arguments.tensor_split);
  if (arguments.override_tensor.empty()) return;
  for (const std::string& place : split_list(arguments.override_tensor)) {
    const std::size_t at = place.find('=');
    if (at == std::string::npos || at == 0)
      throw UsageError(fmt::format("'{}' does not say where tensors go; give PATTERN=MEMORY", place));
    options.tensor_places.emplace_back(place.substr(0, at), place.substr(at + 1));
  }
}

bool asks_for_devices(const std::vector<std::string>& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::find(arguments.begin(), end, "--list-devices") != end;
}

std::string device_list(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string with_value = "--rpc=";
    if (arguments[i] == "--rpc" && i + 1 < arguments.size()) add_rpc_servers(split_list(arguments[i + 1]));
    if (arguments[i].starts_with(with_value))
      add_rpc_servers(split_list(arguments[i].substr(with_value.size())));
  }
  std::string text = "Available devices:\n";
  for (const Device& device : list_devices())
    if (!device.is_cpu)
      text += fmt::format("  {}: {} ({} MiB, {} MiB free)\n", device.name, device.description,
                          std::uint64_t(in_mebibytes(device.total_bytes)),
                          std::uint64_t(in_mebibytes(device.free_bytes)));
  return text;
}

}  // namespace chunkkv::cli
