#pragma once

#include <cstdint>
#include <string>

namespace chunkkv {

class Model;

/// Tells one model file from another: a cache belongs to the weights that computed it.
struct ModelIdentity {
  std::string architecture;  ///< GGUF's general.architecture
  std::int32_t n_layer = 0;
  std::int32_t n_head_kv = 0;
  std::int32_t n_vocab = 0;
  std::uint64_t file_bytes = 0;  ///< size of the GGUF file, or of all parts of a split model
  /// XXH3-128 as 32 hexadecimal digits. It covers the size, metadata and tensor descriptions of every part of
  /// the model, and 256 evenly spaced samples of 64 KiB of its weights, or all weights of a small file; a
  /// file of 40 GB takes a fraction of a second. It tells models, quantisations and fine-tunes apart; it does
  /// not prove that no byte was changed.
  std::string hash;

  bool operator==(const ModelIdentity&) const = default;
};

/// Computes the identity from the model's file. Error when the file can no longer be read.
ModelIdentity identify(const Model& model);

}  // namespace chunkkv
