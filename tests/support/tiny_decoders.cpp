#include "tiny_architectures.h"

#include <cmath>
#include <vector>

namespace chunkkv::test {

void write_norm(GgufBuilder& file, const std::string& name, std::int64_t n) {
  file.values(name, {n}, 1.0F, 0.1F);
}

void write_size_keys(const TinyModel& what, GgufBuilder& file) {
  file.set("vocab_size", what.n_vocab);
  file.set("context_length", what.n_ctx_train);
  file.set("embedding_length", what.n_embd);
  file.set("block_count", what.n_layer);
  file.set("feed_forward_length", what.n_ff);
  file.set("attention.layer_norm_rms_epsilon", 1e-5F);
}

void write_attention_keys(const TinyModel& what, GgufBuilder& file) {
  file.set("attention.head_count", what.n_head);
  file.set("attention.head_count_kv", what.n_head_kv);
  file.set("attention.key_length", what.head_dim);
  file.set("attention.value_length", what.head_dim);
  file.set("rope.dimension_count", what.n_rot > 0 ? what.n_rot : what.head_dim);
  if (!what.rope_scaling.empty()) {
    file.set("rope.scaling.type", what.rope_scaling);
    file.set("rope.scaling.factor", what.rope_scaling_factor);
    file.set("rope.scaling.original_context_length", what.n_ctx_train);
  }
  file.set("rope.freq_base", what.rope_base);
}

void write_embedding(const TinyModel& what, GgufBuilder& file, float deviation) {
  file.matrix("token_embd.weight", what.n_embd, {{what.n_vocab, deviation * std::sqrt(float(what.n_embd))}});
}

void write_attention(const TinyModel& what, GgufBuilder& file, std::uint32_t layer) {
  const std::uint32_t n_q = what.n_head * what.head_dim;
  const std::uint32_t n_kv = what.n_head_kv * what.head_dim;
  file.matrix(block(layer, "attn_q.weight"), what.n_embd, {{n_q, kAttentionGain}});
  file.matrix(block(layer, "attn_k.weight"), what.n_embd, {{n_kv, kAttentionGain}});
  file.matrix(block(layer, "attn_v.weight"), what.n_embd, {{n_kv}});
  file.matrix(block(layer, "attn_output.weight"), n_q, {{what.n_embd, kResidualGain}});
}

void write_gated_ffn(const TinyModel& what, GgufBuilder& file, std::uint32_t layer) {
  file.matrix(block(layer, "ffn_gate.weight"), what.n_embd, {{what.n_ff}});
  file.matrix(block(layer, "ffn_up.weight"), what.n_embd, {{what.n_ff}});
  file.matrix(block(layer, "ffn_down.weight"), what.n_ff, {{what.n_embd, kResidualGain}});
}

namespace {

/// How the decoders of the Llama line differ.
struct Style {
  bool fused = false;  ///< q, k and v in one matrix, gate and up in another
  bool qkv_bias = false;
  bool qk_norm = false;    ///< queries and keys are normalised per head
  bool post_norm = false;  ///< there are norms after attention and feed-forward too
  bool tied_output = false;
  bool wide_qk_norm = false;  ///< queries and keys are normalised over all heads
  bool moe = false;           ///< two experts, both used for each token, so that rounding changes no choice
  bool expert_bias = false;
  bool norm_between = false;  ///< the norm before the feed-forward is named after the attention
};

constexpr std::uint32_t kNExperts = 2;

void write_experts(const TinyModel& what, GgufBuilder& file, std::uint32_t layer, bool with_bias) {
  const float wide = 1 / std::sqrt(float(what.n_embd)), narrow = kResidualGain / std::sqrt(float(what.n_ff));
  file.values(block(layer, "ffn_gate_inp.weight"), {what.n_embd, kNExperts}, 0.0F, wide);
  if (with_bias) file.values(block(layer, "exp_probs_b.bias"), {kNExperts}, 0.0F, 0.1F);
  file.values(block(layer, "ffn_gate_exps.weight"), {what.n_embd, what.n_ff, kNExperts}, 0.0F, wide);
  file.values(block(layer, "ffn_up_exps.weight"), {what.n_embd, what.n_ff, kNExperts}, 0.0F, wide);
  file.values(block(layer, "ffn_down_exps.weight"), {what.n_ff, what.n_embd, kNExperts}, 0.0F, narrow);
}

/// Sets how many rotated pairs follow time, height and width (M-RoPE).
void write_rope_sections(const TinyModel& what, GgufBuilder& file) {
  const auto pairs = std::int32_t(what.head_dim / 2);
  file.set("rope.dimension_sections",
           std::vector<std::int32_t>{pairs - 2 * (pairs / 3), pairs / 3, pairs / 3, 0});
}

void write_layer(const TinyModel& what, GgufBuilder& file, std::uint32_t layer, const Style& style) {
  const std::uint32_t n_q = what.n_head * what.head_dim;
  const std::uint32_t n_kv = what.n_head_kv * what.head_dim;

  write_norm(file, block(layer, "attn_norm.weight"), what.n_embd);
  if (style.fused) {
    file.matrix(block(layer, "attn_qkv.weight"), what.n_embd,
                {{n_q, kAttentionGain}, {n_kv, kAttentionGain}, {n_kv}});
    file.matrix(block(layer, "attn_output.weight"), n_q, {{what.n_embd, kResidualGain}});
  } else {
    write_attention(what, file, layer);
  }
  if (style.qkv_bias) {
    file.values(block(layer, "attn_q.bias"), {n_q}, 0.0F, 0.3F);
    file.values(block(layer, "attn_k.bias"), {n_kv}, 0.0F, 0.3F);
    file.values(block(layer, "attn_v.bias"), {n_kv}, 0.0F, 0.3F);
  }
  if (style.qk_norm) {
    file.values(block(layer, "attn_q_norm.weight"), {what.head_dim}, kAttentionGain, 0.1F);
    file.values(block(layer, "attn_k_norm.weight"), {what.head_dim}, kAttentionGain, 0.1F);
  }
  if (style.wide_qk_norm) {
    file.values(block(layer, "attn_q_norm.weight"), {n_q}, kAttentionGain, 0.1F);
    file.values(block(layer, "attn_k_norm.weight"), {n_kv}, kAttentionGain, 0.1F);
  }
  if (style.post_norm) write_norm(file, block(layer, "post_attention_norm.weight"), what.n_embd);

  write_norm(file, block(layer, style.norm_between ? "post_attention_norm.weight" : "ffn_norm.weight"),
             what.n_embd);
  if (style.moe) {
    write_experts(what, file, layer, style.expert_bias);
  } else if (style.fused) {
    file.matrix(block(layer, "ffn_up.weight"), what.n_embd, {{2 * what.n_ff}});
    file.matrix(block(layer, "ffn_down.weight"), what.n_ff, {{what.n_embd, kResidualGain}});
  } else {
    write_gated_ffn(what, file, layer);
  }
  if (style.post_norm) write_norm(file, block(layer, "post_ffw_norm.weight"), what.n_embd);
}

void write_decoder(const TinyModel& what, GgufBuilder& file, const Style& style) {
  write_size_keys(what, file);
  write_attention_keys(what, file);
  if (style.moe) {
    file.set("expert_count", kNExperts);
    file.set("expert_used_count", kNExperts);
    file.set("expert_feed_forward_length", what.n_ff);
  }
  // Gemma multiplies its embedding by sqrt(n_embd) and uses it as the output as well.
  write_embedding(what, file, style.tied_output ? 1 / std::sqrt(float(what.n_embd)) : 1.0F);
  write_norm(file, "output_norm.weight", what.n_embd);
  if (!style.tied_output) file.matrix("output.weight", what.n_embd, {{what.n_vocab, 2}});
  for (std::uint32_t layer = 0; layer < what.n_layer; ++layer) write_layer(what, file, layer, style);
}

}  // namespace

void write_llama(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {});
  if (what.rope_factors) file.values("rope_freqs.weight", {what.head_dim / 2}, 2.0F, 0.3F);
}

void write_qwen2(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.qkv_bias = true});
}

void write_qwen3(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.qk_norm = true});
}

void write_qwen3moe(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.qk_norm = true, .moe = true});
}

void write_glm4moe(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.qkv_bias = true, .moe = true, .expert_bias = true, .norm_between = true});
  file.set("expert_shared_count", std::uint32_t{0});
}

void write_minimax_m2(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.wide_qk_norm = true, .moe = true, .expert_bias = true});
  file.set("expert_gating_func", std::uint32_t{2});  // sigmoid
}

void write_phi3(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.fused = true});
  if (what.rope_factors) {
    file.set("rope.scaling.original_context_length", what.n_ctx_train);
    file.set("rope.scaling.attn_factor", 1.1F);
    file.values("rope_factors_short.weight", {what.head_dim / 2}, 1.2F, 0.05F);
    file.values("rope_factors_long.weight", {what.head_dim / 2}, 3.0F, 0.3F);
  }
}

void write_gemma(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.tied_output = true});
}

void write_gemma2(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.post_norm = true, .tied_output = true});
  file.set("attention.sliding_window", std::uint32_t{64});
  file.set("attn_logit_softcapping", 50.0F);
  file.set("final_logit_softcapping", 30.0F);
}

void write_qwen2vl(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.qkv_bias = true});
  write_rope_sections(what, file);
}

void write_qwen3vl(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.qk_norm = true});
  write_rope_sections(what, file);
}

void write_qwen3vlmoe(const TinyModel& what, GgufBuilder& file) {
  write_decoder(what, file, {.qk_norm = true, .moe = true});
  write_rope_sections(what, file);
}

}  // namespace chunkkv::test
