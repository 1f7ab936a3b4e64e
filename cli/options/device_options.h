#pragma once

#include <chunkkv/session.h>

#include <string>
#include <vector>

namespace CLI {
class App;
}

/// Where a model's layers lie: on this machine's devices and on other machines'.
namespace chunkkv::cli {

struct DeviceArguments {
  std::string rpc;      ///< HOST:PORT,...
  std::string devices;  ///< names; empty: all
  std::string split_mode = "layer";
  std::string tensor_split;
  std::int32_t main_device = 0;
  std::string override_tensor;  ///< PATTERN=MEMORY,...
  bool list = false;            ///< --list-devices, which `main` answers before any command
};

void add_device_options(CLI::App& app, DeviceArguments& arguments);

/// Adds the servers of --rpc to the engine's devices; when one stops answering later, the program says so and
/// ends. Fills in `options` from the other arguments. UsageError for a value that is not understood, Error
/// when a server does not answer.
void apply(const DeviceArguments& arguments, ModelOptions& options);

/// Whether --list-devices is among the arguments of a command.
bool asks_for_devices(const std::vector<std::string>& arguments);
/// The list that --list-devices prints, with the devices of --rpc in `arguments`.
std::string device_list(const std::vector<std::string>& arguments);

}  // namespace chunkkv::cli
