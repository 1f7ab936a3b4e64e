#pragma once

#include <ggml.h>
#include <gguf.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <random>
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

  /// Keys of the architecture: "block_count" is written as "llama.block_count".
  void set(const std::string& key, std::uint32_t value);
  void set(const std::string& key, float value);
  void set(const std::string& key, bool value);
  void set(const std::string& key, const std::vector<std::int32_t>& values);

  /// A byte-level SentencePiece vocabulary.
  void set_tokenizer(std::uint32_t n_vocab);

  /// Maps n_in values to the rows of all parts. Normal values of deviation gain / sqrt(n_in), so that a
  /// normalised input gives outputs of deviation `gain`.
  void matrix(const std::string& name, std::int64_t n_in, std::initializer_list<Rows> parts);
  /// Normal values in F32, which is what llama.cpp wants of everything but matrices.
  void values(const std::string& name, std::initializer_list<std::int64_t> shape, float mean,
              float deviation);

  /// Throws std::runtime_error when the file cannot be written.
  void write(const std::filesystem::path& path) const;

 private:
  void add(const std::string& name, std::initializer_list<std::int64_t> shape, ggml_type type,
           const std::vector<float>& values);
  std::string full(const std::string& key) const { return architecture_ + "." + key; }

  struct Free {
    void operator()(gguf_context* file) const { gguf_free(file); }
    void operator()(ggml_context* tensors) const { ggml_free(tensors); }
  };

  std::string architecture_;
  ggml_type matrix_type_;
  std::mt19937_64 random_;
  std::unique_ptr<gguf_context, Free> file_;
  std::unique_ptr<ggml_context, Free> tensors_;
  std::vector<std::vector<std::byte>> data_;  // what the tensors point to
};

}  // namespace chunkkv::test
