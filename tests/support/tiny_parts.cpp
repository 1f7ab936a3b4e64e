// Architectures in which only some layers keep every token: others keep a window, or a state. Their GGUF keys
// are written here; the engine says which tensors belong to them.
#include "tiny_architectures.h"
#include "tiny_by_engine.h"

namespace chunkkv::test {
namespace {

constexpr std::uint32_t kWindow = 64;

void write_keys(const TinyModel& what, GgufBuilder& file) {
  write_size_keys(what, file);
  write_attention_keys(what, file);
  file.set("attention.layer_norm_epsilon", 1e-5F);
}

void write_window(GgufBuilder& file) {
  file.set("attention.sliding_window", kWindow);
  file.set("attention.sliding_window_pattern", std::uint32_t{2});  // layers 1, 3, ... see all
}

/// Two experts, both used for each token, so that rounding changes no choice.
void write_expert_keys(const TinyModel& what, GgufBuilder& file) {
  file.set("expert_count", std::uint32_t{2});
  file.set("expert_used_count", std::uint32_t{2});
  file.set("expert_feed_forward_length", what.n_ff);
  file.set("expert_shared_feed_forward_length", what.n_ff);
}

void write_state_keys(std::uint32_t inner, GgufBuilder& file) {
  file.set("ssm.conv_kernel", std::uint32_t{4});
  file.set("ssm.inner_size", inner);
  file.set("ssm.state_size", std::uint32_t{64});
  file.set("ssm.time_step_rank", std::uint32_t{2});
  file.set("ssm.group_count", std::uint32_t{2});
}

/// The number of heads by layer: none in layers 1, 3, ..., which have a state.
void write_heads_by_layer(const TinyModel& what, GgufBuilder& file) {
  std::vector<std::int32_t> all, kv;
  for (std::uint32_t layer = 0; layer < what.n_layer; ++layer) {
    all.push_back(layer % 2 == 0 ? std::int32_t(what.n_head) : 0);
    kv.push_back(layer % 2 == 0 ? std::int32_t(what.n_head_kv) : 0);
  }
  file.set("attention.head_count", all);
  file.set("attention.head_count_kv", kv);
}

}  // namespace

void write_gemma3(const TinyModel& what, GgufBuilder& file) {
  write_keys(what, file);
  write_window(file);
  add_tensors_by_engine(what, file);
}

void write_gemma3n(const TinyModel& what, GgufBuilder& file) {
  write_gemma3(what, file);
}

// The second half of the layers reads the rows of the first half; layers without a window have wider heads.
void write_gemma4(const TinyModel& what, GgufBuilder& file) {
  write_keys(what, file);
  file.set("attention.sliding_window", kWindow);
  file.set("attention.sliding_window_pattern", std::vector<std::int32_t>{1, 1, 0, 1, 1, 0});
  file.set("attention.shared_kv_layers", std::uint32_t{3});
  file.set("attention.key_length", 2 * what.head_dim);
  file.set("attention.value_length", 2 * what.head_dim);
  file.set("attention.key_length_swa", what.head_dim);
  file.set("attention.value_length_swa", what.head_dim);
  file.set("rope.dimension_count", 2 * what.head_dim);
  file.set("rope.dimension_count_swa", what.head_dim);
  file.set("rope.freq_base_swa", 10000.0F);
  file.set("embedding_length_per_layer_input", std::uint32_t{32});
  add_tensors_by_engine(what, file);
}

void write_gpt_oss(const TinyModel& what, GgufBuilder& file) {
  write_keys(what, file);
  write_window(file);
  write_expert_keys(what, file);
  add_tensors_by_engine(what, file);
}

void write_cohere2(const TinyModel& what, GgufBuilder& file) {
  write_keys(what, file);
  write_window(file);
  file.set("logit_scale", 1.0F);
  add_tensors_by_engine(what, file);
}

void write_llama4(const TinyModel& what, GgufBuilder& file) {
  write_keys(what, file);
  write_expert_keys(what, file);
  file.set("interleave_moe_layer_step", std::uint32_t{2});
  add_tensors_by_engine(what, file);
}

void write_qwen3next(const TinyModel& what, GgufBuilder& file) {
  write_keys(what, file);
  write_state_keys(128, file);
  write_expert_keys(what, file);
  file.set("full_attention_interval", std::uint32_t{2});
  const auto pairs = std::int32_t(what.head_dim / 2);
  file.set("rope.dimension_sections",
           std::vector<std::int32_t>{pairs - 2 * (pairs / 3), pairs / 3, pairs / 3, 0});
  add_tensors_by_engine(what, file);
}

void write_granitehybrid(const TinyModel& what, GgufBuilder& file) {
  write_keys(what, file);
  write_state_keys(2 * what.n_embd, file);
  write_heads_by_layer(what, file);
  add_tensors_by_engine(what, file);
}

void write_falcon_h1(const TinyModel& what, GgufBuilder& file) {
  write_keys(what, file);
  write_state_keys(2 * what.n_embd, file);
  add_tensors_by_engine(what, file);
}

// A layer is attention, a state, or a feed-forward.
void write_nemotron_h(const TinyModel& what, GgufBuilder& file) {
  write_keys(what, file);
  write_state_keys(2 * what.n_embd, file);
  const auto heads = std::int32_t(what.n_head), kv = std::int32_t(what.n_head_kv),
             ff = std::int32_t(what.n_ff);
  file.set("attention.head_count", std::vector<std::int32_t>{heads, 0, 0, heads, 0, 0});
  file.set("attention.head_count_kv", std::vector<std::int32_t>{kv, 0, 0, kv, 0, 0});
  file.set("feed_forward_length", std::vector<std::int32_t>{0, 0, ff, 0, 0, ff});
  add_tensors_by_engine(what, file);
}

// Latent attention between layers with a state.
void write_kimi_linear(const TinyModel& what, GgufBuilder& file) {
  const std::uint32_t n_rope = what.head_dim, n_latent = 2 * what.head_dim;
  write_keys(what, file);
  write_state_keys(2 * what.n_embd, file);
  write_heads_by_layer(what, file);
  file.set("attention.kv_lora_rank", n_latent);
  file.set("attention.key_length", n_latent + n_rope);
  file.set("attention.value_length", n_latent);
  file.set("attention.key_length_mla", what.head_dim + n_rope);
  file.set("attention.value_length_mla", what.head_dim);
  file.set("rope.dimension_count", n_rope);
  file.set("kda.head_dim", what.head_dim);
  file.set("leading_dense_block_count", what.n_layer);
  write_expert_keys(what, file);
  file.set("expert_shared_count", std::uint32_t{1});
  file.set("expert_gating_func", std::uint32_t{2});
  add_tensors_by_engine(what, file);
}

}  // namespace chunkkv::test
