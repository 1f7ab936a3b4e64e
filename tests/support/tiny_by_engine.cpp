#include "tiny_by_engine.h"

#include "tiny_architectures.h"

#include <llama.h>

#include <cmath>
#include <map>
#include <memory>
#include <stdexcept>
#include <string_view>

#include <unistd.h>

namespace chunkkv::test {
namespace {

struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

struct Filling {
  const TinyModel& what;
  std::map<std::string, Tensor> tensors;
};

bool has(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

/// Mean and deviation of a tensor's values: a normalised input gives outputs of deviation 1, or of a gain.
struct Spread {
  float mean = 0, deviation = 0;
};
Spread spread_of(std::string_view architecture, std::string_view name, const ggml_tensor& t) {
  // These two architectures do not divide attention logits by the root of the head size.
  const bool is_scaled = architecture != "gemma3n" && architecture != "gemma4";
  if (is_scaled && (has(name, "attn_q_norm") || has(name, "attn_k_norm"))) return {kAttentionGain, 0.1F};
  // Norms after attention and feed-forward would make each layer as large as all before it, and rounding
  // grow.
  if (has(name, "post_")) return {0.5F, 0.05F};
  if (has(name, "norm") || has(name, "scale") || has(name, "rope_freqs")) return {1, 0.1F};
  if (has(name, "sinks")) return {0, 1};
  if (has(name, "bias") || has(name, "ssm_dt")) return {0, 0.1F};
  if (has(name, "ssm_a") || has(name, "ssm_d") || has(name, "altup_correct_coef")) return {1, 0.3F};
  if (has(name, "token_embd")) return {0, 1};
  const float wide = 1 / std::sqrt(float(t.ne[0]));
  if (has(name, "attn_output") || has(name, "ffn_down") || has(name, "out_proj") || has(name, "ssm_out"))
    return {0, kResidualGain * wide};
  if (has(name, "attn_q.") || has(name, "attn_k.") || has(name, "attn_q_b"))
    return {0, kAttentionGain * wide};
  return {0, name == "output.weight" ? 2 * wide : wide};
}

void fill(ggml_tensor* tensor, void* data) {
  auto& filling = *static_cast<Filling*>(data);
  const std::string name = tensor->name;
  // A tensor's values do not depend on the order in which the engine asks for tensors.
  std::mt19937_64 random(filling.what.seed * 1000003ULL + std::hash<std::string>{}(name));
  const Spread spread = spread_of(filling.what.architecture, name, *tensor);
  std::normal_distribution<float> draw(spread.mean, spread.deviation);
  std::vector<float> values(std::size_t(ggml_nelements(tensor)));
  for (float& x : values) x = has(name, "ssm_a") ? -std::abs(draw(random)) : draw(random);  // states decay
  ggml_backend_tensor_set(tensor, values.data(), 0, values.size() * sizeof(float));
  filling.tensors[name] = {{tensor->ne, tensor->ne + ggml_n_dims(tensor)}, std::move(values)};
}

}  // namespace

void add_tensors_by_engine(const TinyModel& what, GgufBuilder& file) {
  const std::filesystem::path keys = tiny_folder() / "keys.gguf";
  file.write(keys);
  const std::unique_ptr<gguf_context, void (*)(gguf_context*)> metadata(
      gguf_init_from_file(keys.c_str(), {true, nullptr}), gguf_free);
  std::filesystem::remove(keys);
  Filling filling{what, {}};
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = 0;
  const std::unique_ptr<llama_model, void (*)(llama_model*)> model(
      llama_model_init_from_user(metadata.get(), fill, &filling, params), llama_model_free);
  if (!model) throw std::runtime_error("the engine makes no model of architecture " + what.architecture);
  for (const auto& [name, tensor] : filling.tensors) {
    const bool is_matrix = tensor.shape.size() == 2 && !has(name, "ssm_") && !has(name, "conv");
    file.add(name, tensor.shape, is_matrix && what.f16 ? GGML_TYPE_F16 : GGML_TYPE_F32, tensor.values);
  }
}

}  // namespace chunkkv::test
