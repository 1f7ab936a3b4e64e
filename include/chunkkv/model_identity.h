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
  std::uint64_t file_bytes = 0;  ///< all parts of a split model
  /// XXH3-128, 32 hexadecimal digits, of every part's size, metadata and tensor descriptions, and of 256
  /// evenly spaced samples of 64 KiB of its weights: all of a small file, and a fraction of a second for one
  /// of 40 GB. It tells models, quantisations and fine-tunes apart; it does not prove that no byte was
  /// changed.
  std::string hash;

  bool operator==(const ModelIdentity&) const = default;
};

/// Error when the model's file can no longer be read.
ModelIdentity identify(const Model& model);

}  // namespace chunkkv
