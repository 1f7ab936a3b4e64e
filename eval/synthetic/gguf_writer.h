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

  /// Sets a key, of the architecture unless "general." or "tokenizer." stands before it: "block_count" is
  /// written as "llama.block_count".
  void set(const std::string& key, std::uint32_t value);
  void set(const std::string& key, float value);
  void set(const std::string& key, bool value);
  void set(const std::string& key, const std::string& value);
  void set(const std::string& key, const std::vector<std::int32_t>& values);

  /// Sets a SentencePiece vocabulary with one token per byte. std::invalid_argument for `n_vocab` below 260.
  void set_byte_tokenizer(std::uint32_t n_vocab);

  /// Fills one part of a tensor; it is called for the parts in order, and each is whole quantisation blocks.
  using Fill = std::function<void(std::span<std::byte> part)>;
  /// Adds a tensor of at most four extents, the length of a row first; rows must be whole blocks of `type`.
  void add(const std::string& name, std::span<const std::int64_t> shape, ggml_type type, Fill fill);

  /// Bytes of all tensors together.
  std::uint64_t n_bytes() const;
  /// Called with the bytes written so far; returning false stops with Interrupted.
  using Progress = std::function<bool(std::uint64_t done)>;
  /// Writes a temporary file beside `path` and renames it. Error when that fails; nothing is left then.
  void write(const std::filesystem::path& path, const Progress& progress = {}) const;

 private:
  std::string full(const std::string& key) const;

  struct Free {
    void operator()(gguf_context* file) const { gguf_free(file); }
    void operator()(ggml_context* tensors) const { ggml_free(tensors); }
  };
  struct Tensor {
    std::size_t n_bytes, block;  ///< of the whole tensor, of one quantisation block
    Fill fill;
  };

  std::string architecture_;
  std::unique_ptr<gguf_context, Free> file_;
  std::unique_ptr<ggml_context, Free> shapes_;
  std::vector<Tensor> tensors_;
};

/// The "general.name" of a file; empty when it is no GGUF file, or has no name.
std::string gguf_name(const std::filesystem::path& path);

}  // namespace chunkkv::eval
