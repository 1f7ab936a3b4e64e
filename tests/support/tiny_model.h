#pragma once

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

namespace chunkkv::test {

/// A model with random weights, small enough to be written and run inside a test. The same fields give
/// the same bytes. Its tokenizer has one token a byte, so that text of n ASCII characters has n tokens
/// (and a beginning-of-sequence token with add_special).
struct TinyModel {
  std::string architecture = "llama";  ///< GGUF's general.architecture, one of tiny_architectures()
  std::uint32_t seed = 1;
  std::uint32_t n_layer = 3;
  std::uint32_t n_head = 4;
  std::uint32_t n_head_kv = 2;
  std::uint32_t head_dim = 32;
  std::uint32_t n_embd = 0;  ///< 0: n_head * head_dim, which most architectures demand
  std::uint32_t n_ff = 256;
  std::uint32_t n_vocab = 260;  ///< at least 260
  std::uint32_t n_ctx_train = 4096;
  float rope_base = 10000;
  bool rope_factors = false;      ///< per-dimension factors: Llama 3's, and Phi-3's long and short ones
  std::uint32_t n_rot = 0;        ///< dimensions of a head that RoPE turns; 0: all
  std::string rope_scaling = {};  ///< "linear" or "yarn", by rope_scaling_factor; empty: none
  float rope_scaling_factor = 4;
  bool f16 = false;                ///< matrices in F16 instead of F32
  bool space_prefix = false;       ///< its tokenizer puts a blank before a text, as Llama 2's does
  std::string chat_template = {};  ///< Jinja; empty: none
};

/// Writes the model into `folder`, under a name that tells all fields, and returns the file's path. A file of
/// that name that is already there stays: random numbers take longer than most tests of the model.
/// std::invalid_argument for an unknown architecture or fields that it cannot have, std::runtime_error when
/// the file cannot be written.
std::string write_tiny_model(const TinyModel& what, const std::filesystem::path& folder);

/// The folder for such files of this process, removed when the process ends.
const std::filesystem::path& tiny_folder();

std::vector<std::string> tiny_architectures();

struct NamedModel {
  std::string name;  ///< letters, digits and underscores
  TinyModel model;
};
inline std::ostream& operator<<(std::ostream& out, const NamedModel& named) {
  return out << named.name;
}

/// One model of every family and head layout in which all layers keep every token.
std::vector<NamedModel> compressible_models();

struct MixedModel {
  std::string name;
  TinyModel model;
  std::vector<std::int32_t> kept_layers;  ///< those that keep every token, by the model's numbers
  bool has_window = false, has_state = false;
};
inline std::ostream& operator<<(std::ostream& out, const MixedModel& named) {
  return out << named.name;
}
/// One model of every kind in which only some layers keep every token, or layers share rows.
std::vector<MixedModel> mixed_models();
/// One model of every kind that llama.cpp runs and chunkkv refuses.
std::vector<NamedModel> refused_models();

}  // namespace chunkkv::test
