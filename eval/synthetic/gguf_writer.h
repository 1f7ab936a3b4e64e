#pragma once

#include <ggml.h>
#include <gguf.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// Collects the keys and tensors of one GGUF file. Tensors are made while the file is written, so that a
/// model may be larger than memory.
class GgufWriter {
 public:
  explicit GgufWriter(std::string architecture);

  /// Keys of the architecture: "block_count" is written as "llama.block_count".
  void set(const std::string& key, std::uint32_t value);
  void set(const std::string& key, float value);
  void set(const std::string& key, bool value);
  void set(const std::string& key, const std::string& value);
  void set(const std::string& key, const std::vector<std::int32_t>& values);
  /// "general.name", by which a file can be told from others.
  void set_name(const std::string& name);

  /// A SentencePiece vocabulary with one token a byte. `n_vocab` is at least 260; std::invalid_argument.
  void set_byte_tokenizer(std::uint32_t n_vocab);

  /// Keys of the tokenizer: "chat_template" is written as "tokenizer.chat_template".
  void set_tokenizer(const std::string& key, bool value);
  void set_tokenizer(const std::string& key, const std::string& value);

  /// Called with one part of a tensor after the other, whole quantisation blocks each, to be filled.
  using Fill = std::function<void(std::span<std::byte> part)>;
  /// At most four extents, the length of a row first; rows must be whole blocks of `type`.
  void add(const std::string& name, std::span<const std::int64_t> shape, ggml_type type, Fill fill);

  /// Size of the tensors together.
  std::uint64_t n_bytes() const;
  /// Called with bytes done; returning false stops with Interrupted.
  using Progress = std::function<bool(std::uint64_t done)>;
  /// Writes the file beside its name and renames it. Error when it cannot be written; nothing is left then.
  void write(const std::filesystem::path& path, const Progress& progress = {}) const;

 private:
  std::string full(const std::string& key) const { return architecture_ + "." + key; }

  struct Free {
    void operator()(gguf_context* file) const { gguf_free(file); }
    void operator()(ggml_context* tensors) const { ggml_free(tensors); }
  };
  struct Tensor {
    std::size_t n_bytes, block;  ///< of the whole, of a quantisation block
    Fill fill;
  };

  std::string architecture_;
  std::unique_ptr<gguf_context, Free> file_;
  std::unique_ptr<ggml_context, Free> shapes_;
  std::vector<Tensor> tensors_;
};

/// The "general.name" of a GGUF file; empty when it is none, or has none.
std::string gguf_name(const std::filesystem::path& path);

}  // namespace chunkkv::eval
