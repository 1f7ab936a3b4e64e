#include "llama/load_layout.h"

#include "llama/weight_source.h"

#include <gguf.h>

#include <string_view>

namespace chunkkv::engine {
namespace {

/// A regular expression that matches only `name`.
std::string pattern_of(std::string_view name) {
  std::string pattern = "^";
  for (const char c : name) {
    if (std::string_view(".[]{}()\\*+?|^$").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern + "$";
}

/// The type of memory that holds mapped files. The loader obeys an override with it, whereas it replaces the
/// CPU's usual type by one with a layout of its own.
ggml_backend_buffer_type_t mapped_memory() {
  alignas(64) static char any[64];
  const ggml_backend_buffer_t buffer = ggml_backend_cpu_buffer_from_ptr(any, sizeof any);
  const ggml_backend_buffer_type_t type = ggml_backend_buffer_get_type(buffer);
  ggml_backend_buffer_free(buffer);
  return type;
}

}  // namespace

LoadLayout::LoadLayout(const std::string& path) {
  // Of the engine's layouts only AMX is given to weights that gain nothing by it.
  if (!machine().engine_amx || ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) != nullptr) return;
  ggml_context* tensors = nullptr;
  const std::unique_ptr<gguf_context, Deleter<gguf_free>> file(
      gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = &tensors}));
  const GgmlContext owner(tensors);
  if (!file || tensors == nullptr) return;
  bool gains = false;
  for (const ggml_tensor* t = ggml_get_first_tensor(tensors); t != nullptr;
       t = ggml_get_next_tensor(tensors, const_cast<ggml_tensor*>(t))) {
    if (ggml_n_dims(t) != 2) continue;
    const kernels::WeightShape shape{.type = ggml_type_name(t->type), .n_out = t->ne[1], .depth = t->ne[0]};
    if (best_layout(machine(), shape) != kernels::Layout::plain)
      gains = true;
    else if (engine_layout(machine(), shape) != kernels::Layout::plain)
      plain_.push_back(pattern_of(t->name));
  }
  if (plain_.empty()) return;
  use_engine_layouts_ = gains;
  if (!use_engine_layouts_) return;  // all weights stay in the mapped file
  const ggml_backend_buffer_type_t plain = mapped_memory();
  for (const std::string& pattern : plain_) overrides_.push_back({pattern.c_str(), plain});
  overrides_.push_back({nullptr, nullptr});
}

void LoadLayout::apply(llama_model_params& params) const {
  params.use_extra_bufts = use_engine_layouts_;
  if (!overrides_.empty()) params.tensor_buft_overrides = overrides_.data();
}

}  // namespace chunkkv::engine
