#include "cli/measure/machine.h"

#include <chunkkv/model_identity.h>

#include <fmt/format.h>
#include <ggml-backend.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace chunkkv::cli {
namespace {

/// The value of the first "NAME: value" line of a file under /proc.
std::optional<std::string> field(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? std::string() : line.substr(begin);
  }
  return std::nullopt;
}

std::vector<ggml_backend_dev_t> gpus() {
  std::vector<ggml_backend_dev_t> gpus;
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    const ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_GPU) gpus.push_back(device);
  }
  return gpus;
}

/// The machine that figures are measured on: "x86_64, 2 threads, Intel(R) Xeon(R) ...", with its GPUs unless
/// `gpu_layers` is 0.
std::string machine(std::int32_t n_threads, std::int32_t gpu_layers) {
  utsname system = {};
  uname(&system);
  if (n_threads <= 0) n_threads = std::int32_t(std::thread::hardware_concurrency());
  std::string text = fmt::format("{}, {} threads", system.machine, n_threads);
  if (const auto processor = field("/proc/cpuinfo", "model name")) text += ", " + *processor;
  if (gpu_layers != 0)
    for (const ggml_backend_dev_t gpu : gpus())
      text += fmt::format(", {}", ggml_backend_dev_description(gpu));
  return text;
}

}  // namespace

results::Origin origin_of(const Model& model, std::int32_t n_threads, std::int32_t gpu_layers) {
  return {.model = std::filesystem::path(model.info().path).filename().string(),
          .model_hash = identify(model).hash,
          .version = CHUNKKV_VERSION,
          .machine = machine(n_threads, gpu_layers),
          .seed = {}};
}

std::uint64_t peak_memory() {
  std::uint64_t kibibytes = 0;
  if (const auto value = field("/proc/self/status", "VmHWM")) {
    std::istringstream(*value) >> kibibytes;
  } else {
    rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    kibibytes = std::uint64_t(usage.ru_maxrss);
  }
  return kibibytes * 1024;
}

std::uint64_t gpu_memory() {
  std::uint64_t used = 0;
  for (const ggml_backend_dev_t gpu : gpus()) {
    std::size_t free = 0, total = 0;
    ggml_backend_dev_memory(gpu, &free, &total);
    used += total - free;
  }
  return used;
}

bool reset_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return bool(file);
}

}  // namespace chunkkv::cli
