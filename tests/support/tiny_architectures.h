#pragma once

#include "tiny_gguf.h"
#include "tiny_model.h"

#include <cstdint>
#include <string>

namespace chunkkv::test {

/// Weights of queries and keys are drawn with this gain, so that attention logits have a deviation near 3,
/// and attention rows have a few peaks instead of being flat.
inline constexpr float kAttentionGain = 1.7F;

/// Layers write to the residual with this gain, so that their outputs show in the logits.
inline constexpr float kResidualGain = 2;

inline std::string block(std::uint32_t layer, const std::string& suffix) {
  return "blk." + std::to_string(layer) + "." + suffix;
}

// Building blocks that several architectures share.
void write_norm(GgufBuilder& file, const std::string& name, std::int64_t n);
void write_size_keys(const TinyModel& what, GgufBuilder& file);
void write_attention_keys(const TinyModel& what, GgufBuilder& file);
void write_embedding(const TinyModel& what, GgufBuilder& file, float deviation = 1);
void write_attention(const TinyModel& what, GgufBuilder& file, std::uint32_t layer);
void write_gated_ffn(const TinyModel& what, GgufBuilder& file, std::uint32_t layer);

// Decoders with one ordinary cache (tiny_decoders.cpp).
void write_llama(const TinyModel& what, GgufBuilder& file);
void write_qwen2(const TinyModel& what, GgufBuilder& file);
void write_qwen3(const TinyModel& what, GgufBuilder& file);
void write_qwen3moe(const TinyModel& what, GgufBuilder& file);
void write_glm4moe(const TinyModel& what, GgufBuilder& file);
void write_minimax_m2(const TinyModel& what, GgufBuilder& file);
void write_phi3(const TinyModel& what, GgufBuilder& file);
void write_gemma(const TinyModel& what, GgufBuilder& file);

// Decoders with something else in or beside the cache (tiny_decoders.cpp, tiny_others.cpp).
void write_gemma2(const TinyModel& what, GgufBuilder& file);
void write_qwen2vl(const TinyModel& what, GgufBuilder& file);
void write_qwen3vl(const TinyModel& what, GgufBuilder& file);
void write_qwen3vlmoe(const TinyModel& what, GgufBuilder& file);
void write_deepseek2(const TinyModel& what, GgufBuilder& file);
void write_bloom(const TinyModel& what, GgufBuilder& file);

// Decoders of which only some layers keep every token (tiny_parts.cpp).
void write_gemma3(const TinyModel& what, GgufBuilder& file);
void write_gemma3n(const TinyModel& what, GgufBuilder& file);
void write_gemma4(const TinyModel& what, GgufBuilder& file);
void write_gpt_oss(const TinyModel& what, GgufBuilder& file);
void write_cohere2(const TinyModel& what, GgufBuilder& file);
void write_llama4(const TinyModel& what, GgufBuilder& file);
void write_qwen3next(const TinyModel& what, GgufBuilder& file);
void write_granitehybrid(const TinyModel& what, GgufBuilder& file);
void write_falcon_h1(const TinyModel& what, GgufBuilder& file);
void write_nemotron_h(const TinyModel& what, GgufBuilder& file);
void write_kimi_linear(const TinyModel& what, GgufBuilder& file);

// Recurrent layers, alone and mixed with attention, and encoders (tiny_others.cpp).
void write_mamba(const TinyModel& what, GgufBuilder& file);
void write_lfm2(const TinyModel& what, GgufBuilder& file);
void write_bert(const TinyModel& what, GgufBuilder& file);
void write_t5(const TinyModel& what, GgufBuilder& file);

}  // namespace chunkkv::test
