#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

/// Devices that a model's layers may lie on: GPUs of this machine and, through RPC, of other machines.
namespace chunkkv {

struct Device {
  std::string name;         ///< "CUDA0", "RPC0"; RPC devices are numbered in the order of their servers
  std::string description;  ///< for people
  bool is_cpu = false;
  std::uint64_t free_bytes = 0, total_bytes = 0;
};

/// Lists the devices of the engine, including those of RPC servers that were added. Thread-safe.
std::vector<Device> list_devices();

/// Adds the devices of llama.cpp's RPC servers ("HOST:PORT", IPv4) for the life of the process; servers that
/// were added before are skipped. UsageError for text that is no address. Error, within seconds, when a
/// server does not answer, serves another client or speaks another version. Not thread-safe.
void add_rpc_servers(std::span<const std::string> servers);

}  // namespace chunkkv
