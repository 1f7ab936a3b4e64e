#pragma once

#include "synthetic/gguf_writer.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// The sizes of a model that people use; its speed does not depend on the values of its weights.
struct ModelShape {
  std::string name;          ///< "llama-3.1-8b"
  std::string architecture;  ///< GGUF's general.architecture
  std::uint32_t n_layer = 0, n_embd = 0, n_head = 0, n_head_kv = 0, head_dim = 0, n_ff = 0, n_vocab = 0;
  std::uint32_t n_ctx_train = 0;
  float rope_base = 10000, norm_epsilon = 1e-5F;
  bool tied_output = false;         ///< the embedding is the output matrix as well
  std::uint32_t n_expert = 0;       ///< of a mixture, each with n_ff; 0: no mixture
  std::uint32_t n_expert_used = 0;  ///< by a token
};

std::span<const ModelShape> model_shapes();

/// Parses "llama-3.1-8b" or, with sizes, "llama-3.1-8b:layers=2,vocab=1000". UsageError names the choices.
ModelShape parse_shape(std::string_view text);

/// Parses the name of a weight type, such as "f16". UsageError names what is allowed.
ggml_type parse_weight_type(std::string_view name);

/// Names shape and type, so that models of equal name are equal: "synthetic-llama-3.1-8b-layers2-q4_0".
std::string synthetic_name(const ModelShape& shape, ggml_type type);

/// Writes a model of this shape with random weights and a tokenizer of bytes. The same arguments give the
/// same bytes. UsageError when a row is no multiple of the type's block; Error when the disk is full.
void write_synthetic_model(const ModelShape& shape, ggml_type type, const std::filesystem::path& path,
                           const GgufWriter::Progress& progress = {});

/// Bytes of the weights of the model that `write_synthetic_model` writes. UsageError as there.
std::uint64_t synthetic_bytes(const ModelShape& shape, ggml_type type);

}  // namespace chunkkv::eval
