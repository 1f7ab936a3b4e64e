#include "llama/model_placing.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <string>

namespace chunkkv::engine {
namespace {

/// The engine searches names of tensors by std::regex, and takes a wrong pattern for a wrong model.
void require_pattern(const std::string& pattern) {
  try {
    const std::regex compiled(pattern);
  } catch (const std::regex_error& error) {
    throw UsageError(
        fmt::format("'{}' is no regular expression for names of tensors: {}", pattern, error.what()));
  }
}

}  // namespace

ModelPlacing::ModelPlacing(const ModelOptions& options) {
  for (const std::string& name : options.devices) {
    if (name == "none") {
      if (options.devices.size() > 1) throw UsageError("the device 'none' stands alone");
      break;
    }
    ggml_backend_dev_t device = ggml_backend_dev_by_name(name.c_str());
    if (device == nullptr || ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU)
      throw UsageError("there is no device '" + name +
                       "' that layers can be put on; --list-devices names them");
    devices_.push_back(device);
  }
  if (!options.devices.empty()) devices_.push_back(nullptr);

  if (options.tensor_split.size() > llama_max_devices())
    throw UsageError(fmt::format("a tensor split has at most {} shares", llama_max_devices()));
  if (std::any_of(options.tensor_split.begin(), options.tensor_split.end(),
                  [](float x) { return !(x >= 0); }))
    throw UsageError("the shares of a tensor split are not negative");
  if (!options.tensor_split.empty()) {
    split_ = options.tensor_split;
    split_.resize(llama_max_devices());
  }

  for (const auto& [pattern, buffer] : options.tensor_places) {
    ggml_backend_buffer_type_t type = nullptr;
    std::string names;
    for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
      ggml_backend_buffer_type_t each = ggml_backend_dev_buffer_type(ggml_backend_dev_get(i));
      if (each == nullptr) continue;
      if (buffer == ggml_backend_buft_name(each)) type = each;
      names += fmt::format("{}{}", names.empty() ? "" : ", ", ggml_backend_buft_name(each));
    }
    if (type == nullptr)
      throw UsageError(fmt::format("there is no memory '{}' for tensors; there are {}", buffer, names));
    require_pattern(pattern);
    overrides_.push_back({pattern.c_str(), type});
  }
  if (!overrides_.empty()) overrides_.push_back({nullptr, nullptr});
  main_device_ = options.main_device;
  mode_ = options.split_mode == SplitMode::none  ? LLAMA_SPLIT_MODE_NONE
          : options.split_mode == SplitMode::row ? LLAMA_SPLIT_MODE_ROW
                                                 : LLAMA_SPLIT_MODE_LAYER;
}

void ModelPlacing::apply(llama_model_params& params) {
  params.main_gpu = main_device_;
  params.split_mode = mode_;
  if (!devices_.empty()) params.devices = devices_.data();
  if (!split_.empty()) params.tensor_split = split_.data();
  if (!overrides_.empty()) params.tensor_buft_overrides = overrides_.data();
}

}  // namespace chunkkv::engine
