#pragma once

#include "synthetic/gguf_writer.h"

#include <ggml.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::test {

/// Some rows of a weight matrix that share a scale.
struct Rows {
  std::int64_t n = 0;
  float gain = 1;
};

/// Collects the keys and seeded tensors of one GGUF file.
class GgufBuilder {
 public:
  GgufBuilder(std::string architecture, std::uint32_t seed, ggml_type matrix_type);

  template <class Value>
  void set(const std::string& key, const Value& value) {
    file_.set(key, value);
  }

  /// A byte-level SentencePiece vocabulary.
  void set_tokenizer(std::uint32_t n_vocab) { file_.set_byte_tokenizer(n_vocab); }
  template <class Value>
  void set_tokenizer(const std::string& key, const Value& value) {
    file_.set("tokenizer." + key, value);
  }

  /// Adds a matrix that maps n_in values to the rows of all parts. Its values are normal with deviation
  /// gain / sqrt(n_in), so that a normalised input gives outputs of deviation `gain`.
  void matrix(const std::string& name, std::int64_t n_in, std::initializer_list<Rows> parts);
  /// Adds normal values in F32, the type that llama.cpp wants for all tensors but matrices.
  void values(const std::string& name, std::initializer_list<std::int64_t> shape, float mean,
              float deviation);

  /// Adds a tensor of the given values.
  void add(const std::string& name, std::span<const std::int64_t> shape, ggml_type type,
           const std::vector<float>& values);

  void write(const std::filesystem::path& path) const { file_.write(path); }

 private:
  ggml_type matrix_type_;
  std::mt19937_64 random_;
  eval::GgufWriter file_;
};

}  // namespace chunkkv::test
