#include "tiny_architectures.h"

#include <cmath>
#include <vector>

namespace chunkkv::test {

namespace {

void write_output(const TinyModel& what, GgufBuilder& file) {
  write_norm(file, "output_norm.weight", what.n_embd);
  file.matrix("output.weight", what.n_embd, {{what.n_vocab, 2}});
}

/// A norm and its bias.
void write_layer_norm(GgufBuilder& file, const std::string& name, std::int64_t n) {
  write_norm(file, name + ".weight", n);
  file.values(name + ".bias", {n}, 0.0F, 0.1F);
}

}  // namespace

// Multi-head latent attention: one latent of all heads is cached, and no values.
void write_deepseek2(const TinyModel& what, GgufBuilder& file) {
  const std::uint32_t n_rope = what.head_dim / 2;
  const std::uint32_t n_plain = what.head_dim;  // key dimensions without RoPE
  const std::uint32_t n_latent = 2 * what.head_dim;
  const std::uint32_t n_query_latent = 2 * what.head_dim;
  const std::uint32_t n_key = n_plain + n_rope;

  write_size_keys(what, file);
  file.set("attention.head_count", what.n_head);
  file.set("attention.head_count_kv", std::uint32_t{1});
  file.set("attention.q_lora_rank", n_query_latent);
  file.set("attention.kv_lora_rank", n_latent);
  file.set("attention.key_length", n_latent + n_rope);
  file.set("attention.value_length", n_latent);
  file.set("attention.key_length_mla", n_key);
  file.set("attention.value_length_mla", what.head_dim);
  file.set("rope.dimension_count", n_rope);
  // No layer has experts, but the loader asks for their sizes.
  file.set("leading_dense_block_count", what.n_layer);
  file.set("expert_feed_forward_length", what.n_ff);
  file.set("expert_shared_count", std::uint32_t{1});

  write_embedding(what, file);
  write_output(what, file);
  for (std::uint32_t layer = 0; layer < what.n_layer; ++layer) {
    write_norm(file, block(layer, "attn_norm.weight"), what.n_embd);
    write_norm(file, block(layer, "attn_q_a_norm.weight"), n_query_latent);
    write_norm(file, block(layer, "attn_kv_a_norm.weight"), n_latent);
    file.matrix(block(layer, "attn_q_a.weight"), what.n_embd, {{n_query_latent}});
    file.matrix(block(layer, "attn_q_b.weight"), n_query_latent, {{what.n_head * n_key, kAttentionGain}});
    file.matrix(block(layer, "attn_kv_a_mqa.weight"), what.n_embd, {{n_latent + n_rope}});
    file.values(block(layer, "attn_k_b.weight"), {n_plain, n_latent, what.n_head}, 0.0F, 0.2F);
    file.values(block(layer, "attn_v_b.weight"), {n_latent, what.head_dim, what.n_head}, 0.0F, 0.2F);
    file.matrix(block(layer, "attn_output.weight"), what.n_head * what.head_dim,
                {{what.n_embd, kResidualGain}});
    write_norm(file, block(layer, "ffn_norm.weight"), what.n_embd);
    write_gated_ffn(what, file, layer);
  }
}

// ALiBi: no RoPE, the mask holds distances.
void write_bloom(const TinyModel& what, GgufBuilder& file) {
  const std::uint32_t n_kv = what.n_head_kv * what.head_dim;
  write_size_keys(what, file);
  file.set("attention.head_count", what.n_head);
  file.set("attention.head_count_kv", what.n_head_kv);
  file.set("attention.layer_norm_epsilon", 1e-5F);

  write_embedding(what, file);
  write_layer_norm(file, "token_embd_norm", what.n_embd);
  write_layer_norm(file, "output_norm", what.n_embd);
  file.matrix("output.weight", what.n_embd, {{what.n_vocab, 2}});
  for (std::uint32_t layer = 0; layer < what.n_layer; ++layer) {
    write_layer_norm(file, block(layer, "attn_norm"), what.n_embd);
    file.matrix(block(layer, "attn_qkv.weight"), what.n_embd,
                {{what.n_embd, kAttentionGain}, {n_kv, kAttentionGain}, {n_kv}});
    file.values(block(layer, "attn_qkv.bias"), {what.n_embd + 2 * n_kv}, 0.0F, 0.1F);
    file.matrix(block(layer, "attn_output.weight"), what.n_embd, {{what.n_embd, kResidualGain}});
    file.values(block(layer, "attn_output.bias"), {what.n_embd}, 0.0F, 0.1F);
    write_layer_norm(file, block(layer, "ffn_norm"), what.n_embd);
    file.matrix(block(layer, "ffn_up.weight"), what.n_embd, {{what.n_ff}});
    file.values(block(layer, "ffn_up.bias"), {what.n_ff}, 0.0F, 0.1F);
    file.matrix(block(layer, "ffn_down.weight"), what.n_ff, {{what.n_embd, kResidualGain}});
    file.values(block(layer, "ffn_down.bias"), {what.n_embd}, 0.0F, 0.1F);
  }
}

void write_mamba(const TinyModel& what, GgufBuilder& file) {
  const std::uint32_t n_inner = 2 * what.n_embd;  // the only expansion that llama.cpp knows
  const std::uint32_t n_state = 16;
  const std::uint32_t n_step = 8;
  const std::uint32_t n_conv = 4;

  write_size_keys(what, file);
  file.set("ssm.conv_kernel", n_conv);
  file.set("ssm.inner_size", n_inner);
  file.set("ssm.state_size", n_state);
  file.set("ssm.time_step_rank", n_step);

  write_embedding(what, file);
  write_output(what, file);
  for (std::uint32_t layer = 0; layer < what.n_layer; ++layer) {
    write_norm(file, block(layer, "attn_norm.weight"), what.n_embd);
    file.matrix(block(layer, "ssm_in.weight"), what.n_embd, {{2 * n_inner}});
    file.values(block(layer, "ssm_conv1d.weight"), {n_conv, n_inner}, 0.0F, 0.5F);
    file.values(block(layer, "ssm_conv1d.bias"), {n_inner}, 0.0F, 0.1F);
    file.matrix(block(layer, "ssm_x.weight"), n_inner, {{n_step + 2 * n_state}});
    file.matrix(block(layer, "ssm_dt.weight"), n_step, {{n_inner}});
    file.values(block(layer, "ssm_dt.bias"), {n_inner}, -2.0F, 0.5F);
    file.values(block(layer, "ssm_a"), {n_state, n_inner}, -1.0F, 0.2F);  // negative: the state fades
    file.values(block(layer, "ssm_d"), {n_inner}, 1.0F, 0.1F);
    file.matrix(block(layer, "ssm_out.weight"), n_inner, {{what.n_embd, kResidualGain}});
  }
}

// A hybrid: short convolutions with a state, and attention in every second layer.
void write_lfm2(const TinyModel& what, GgufBuilder& file) {
  const std::uint32_t n_conv = 3;
  std::vector<std::int32_t> n_head_kv;
  for (std::uint32_t layer = 0; layer < what.n_layer; ++layer) {
    n_head_kv.push_back(layer % 2 == 1 ? std::int32_t(what.n_head_kv) : 0);
  }

  write_size_keys(what, file);
  write_attention_keys(what, file);
  file.set("attention.head_count_kv", n_head_kv);
  file.set("shortconv.l_cache", n_conv);

  write_embedding(what, file);
  write_norm(file, "token_embd_norm.weight", what.n_embd);  // the output norm, in spite of its name
  file.matrix("output.weight", what.n_embd, {{what.n_vocab, 2}});
  for (std::uint32_t layer = 0; layer < what.n_layer; ++layer) {
    write_norm(file, block(layer, "attn_norm.weight"), what.n_embd);
    if (n_head_kv[layer] > 0) {
      write_attention(what, file, layer);
      write_norm(file, block(layer, "attn_q_norm.weight"), what.head_dim);
      write_norm(file, block(layer, "attn_k_norm.weight"), what.head_dim);
    } else {
      file.values(block(layer, "shortconv.conv.weight"), {n_conv, what.n_embd}, 0.0F, 0.5F);
      file.matrix(block(layer, "shortconv.in_proj.weight"), what.n_embd, {{3 * what.n_embd}});
      file.matrix(block(layer, "shortconv.out_proj.weight"), what.n_embd, {{what.n_embd, kResidualGain}});
    }
    write_norm(file, block(layer, "ffn_norm.weight"), what.n_embd);
    write_gated_ffn(what, file, layer);
  }
}

// An encoder: no cache at all.
void write_bert(const TinyModel& what, GgufBuilder& file) {
  write_size_keys(what, file);
  file.set("attention.head_count", what.n_head);
  file.set("attention.head_count_kv", what.n_head_kv);
  file.set("attention.layer_norm_epsilon", 1e-5F);
  file.set("attention.causal", false);
  file.set("pooling_type", std::uint32_t{1});  // mean

  write_embedding(what, file);
  file.values("position_embd.weight", {what.n_embd, what.n_ctx_train}, 0.0F, 0.1F);
  write_layer_norm(file, "token_embd_norm", what.n_embd);
  for (std::uint32_t layer = 0; layer < what.n_layer; ++layer) {
    write_attention(what, file, layer);
    write_layer_norm(file, block(layer, "attn_output_norm"), what.n_embd);
    file.matrix(block(layer, "ffn_up.weight"), what.n_embd, {{what.n_ff}});
    file.matrix(block(layer, "ffn_down.weight"), what.n_ff, {{what.n_embd, kResidualGain}});
    write_layer_norm(file, block(layer, "layer_output_norm"), what.n_embd);
  }
}

// An encoder and a decoder that attends to it.
void write_t5(const TinyModel& what, GgufBuilder& file) {
  const std::uint32_t n_buckets = 32;
  const std::uint32_t n_q = what.n_head * what.head_dim;

  write_size_keys(what, file);
  file.set("attention.head_count", what.n_head);
  file.set("attention.key_length", what.head_dim);
  file.set("attention.value_length", what.head_dim);
  file.set("attention.relative_buckets_count", n_buckets);
  file.set("decoder_start_token_id", std::uint32_t{0});

  const auto attention = [&](const std::string& prefix) {
    file.matrix(prefix + "q.weight", what.n_embd,
                {{n_q, 1 / std::sqrt(float(what.head_dim))}});  // T5 does not scale
    file.matrix(prefix + "k.weight", what.n_embd, {{n_q}});
    file.matrix(prefix + "v.weight", what.n_embd, {{n_q}});
    file.matrix(prefix + "o.weight", n_q, {{what.n_embd, kResidualGain}});
  };
  write_embedding(what, file);
  write_norm(file, "enc.output_norm.weight", what.n_embd);
  write_norm(file, "dec.output_norm.weight", what.n_embd);
  file.matrix("output.weight", what.n_embd, {{what.n_vocab, 2}});
  for (const std::string side : {"enc.", "dec."}) {
    for (std::uint32_t layer = 0; layer < what.n_layer; ++layer) {
      const std::string prefix = side + block(layer, "");
      write_norm(file, prefix + "attn_norm.weight", what.n_embd);
      attention(prefix + "attn_");
      if (layer == 0) file.values(prefix + "attn_rel_b.weight", {what.n_head, n_buckets}, 0.0F, 1.0F);
      if (side == "dec.") {
        write_norm(file, prefix + "cross_attn_norm.weight", what.n_embd);
        attention(prefix + "cross_attn_");
      }
      write_norm(file, prefix + "ffn_norm.weight", what.n_embd);
      file.matrix(prefix + "ffn_up.weight", what.n_embd, {{what.n_ff}});
      file.matrix(prefix + "ffn_down.weight", what.n_ff, {{what.n_embd, kResidualGain}});
    }
  }
}

}  // namespace chunkkv::test
