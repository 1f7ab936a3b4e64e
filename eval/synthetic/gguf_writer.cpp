#include "synthetic/gguf_writer.h"

#include <chunkkv/error.h>

#include "base/atomic_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace chunkkv::eval {
namespace {

constexpr std::size_t kMaxTensors = 4096;
/// Bytes of a tensor that are made and written at once, at most.
constexpr std::size_t kPart = std::size_t{4} << 20;

// SentencePiece token types, as GGUF numbers them.
enum TokenType : std::int32_t { normal = 1, unknown = 2, control = 3, byte = 6 };

}  // namespace

GgufWriter::GgufWriter(std::string architecture)
    : architecture_(std::move(architecture)),
      file_(gguf_init_empty()),
      shapes_(ggml_init({kMaxTensors * ggml_tensor_overhead(), nullptr, /*no_alloc=*/true})) {
  set("general.architecture", architecture_);
}

std::string GgufWriter::full(const std::string& key) const {
  const bool is_shared = key.starts_with("general.") || key.starts_with("tokenizer.");
  return is_shared ? key : architecture_ + "." + key;
}

void GgufWriter::set(const std::string& key, std::uint32_t value) {
  gguf_set_val_u32(file_.get(), full(key).c_str(), value);
}

void GgufWriter::set(const std::string& key, float value) {
  gguf_set_val_f32(file_.get(), full(key).c_str(), value);
}

void GgufWriter::set(const std::string& key, bool value) {
  gguf_set_val_bool(file_.get(), full(key).c_str(), value);
}

void GgufWriter::set(const std::string& key, const std::string& value) {
  gguf_set_val_str(file_.get(), full(key).c_str(), value.c_str());
}

void GgufWriter::set(const std::string& key, const std::vector<std::int32_t>& values) {
  gguf_set_arr_data(file_.get(), full(key).c_str(), GGUF_TYPE_INT32, values.data(), values.size());
}

void GgufWriter::set_byte_tokenizer(std::uint32_t n_vocab) {
  std::vector<std::string> texts = {"<unk>", "<s>", "</s>"};
  std::vector<std::int32_t> types = {unknown, control, control};
  const auto add = [&](std::string text, TokenType type) {
    texts.push_back(std::move(text));
    types.push_back(type);
  };
  for (int i = 0; i < 256; ++i) add(fmt::format("<0x{:02X}>", i), byte);
  add("\xe2\x96\x81", normal);  // SentencePiece's blank, which bytes alone would spell as three tokens
  while (texts.size() < n_vocab) add("[" + std::to_string(texts.size()) + "]", normal);
  if (texts.size() != n_vocab)
    throw std::invalid_argument(fmt::format("a vocabulary has {} tokens or more", texts.size()));

  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  const std::vector<float> scores(texts.size(), 0.0F);

  gguf_context* file = file_.get();
  gguf_set_val_str(file, "tokenizer.ggml.model", "llama");
  gguf_set_arr_str(file, "tokenizer.ggml.tokens", pointers.data(), pointers.size());
  gguf_set_arr_data(file, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
  gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
  gguf_set_val_u32(file, "tokenizer.ggml.unknown_token_id", 0);
  gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", 1);
  gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", 2);
  gguf_set_val_u32(file, "tokenizer.ggml.token_type_count", 2);  // segment types; encoder models need this
  gguf_set_val_bool(file, "tokenizer.ggml.add_bos_token", true);
  gguf_set_val_bool(file, "tokenizer.ggml.add_space_prefix", false);
}

void GgufWriter::add(const std::string& name, std::span<const std::int64_t> shape, ggml_type type,
                     Fill fill) {
  ggml_tensor* tensor = ggml_new_tensor(shapes_.get(), type, int(shape.size()), shape.data());
  ggml_set_name(tensor, name.c_str());
  gguf_add_tensor(file_.get(), tensor);
  tensors_.push_back({ggml_nbytes(tensor), ggml_type_size(type), std::move(fill)});
}

std::uint64_t GgufWriter::n_bytes() const {
  std::uint64_t sum = 0;
  for (const Tensor& tensor : tensors_) sum += tensor.n_bytes;
  return sum;
}

void GgufWriter::write(const std::filesystem::path& path, const Progress& progress) const {
  std::error_code error;
  const auto space = std::filesystem::space(path.parent_path().empty() ? "." : path.parent_path(), error);
  if (!error && space.available < n_bytes()) {
    throw Error(fmt::format("'{}' needs {} MB, but only {} MB are free there; choose another folder",
                            path.string(), n_bytes() / 1000000, space.available / 1000000));
  }
  AtomicFile file(path.string());
  if (!gguf_write_to_file_ptr(file_.get(), file.stream(), /*only_meta=*/true)) file.fail();
  const std::size_t alignment = gguf_get_alignment(file_.get());
  std::vector<std::byte> part;
  std::uint64_t done = 0;
  for (const Tensor& tensor : tensors_) {
    const std::size_t step = kPart / tensor.block * tensor.block;
    for (std::size_t offset = 0; offset < tensor.n_bytes; offset += step) {
      part.resize(std::min(step, tensor.n_bytes - offset));
      tensor.fill(part);
      file.write(part);
      done += part.size();
      if (progress && !progress(done)) throw Interrupted("interrupted while writing a model");
    }
    part.assign((alignment - tensor.n_bytes % alignment) % alignment, std::byte{0});
    file.write(part);
  }
  file.commit();
}

std::string gguf_name(const std::filesystem::path& path) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(
      gguf_init_from_file(path.c_str(), {true, nullptr}), gguf_free);
  if (!file) return {};
  const std::int64_t key = gguf_find_key(file.get(), "general.name");
  if (key < 0 || gguf_get_kv_type(file.get(), key) != GGUF_TYPE_STRING) return {};
  return gguf_get_val_str(file.get(), key);
}

}  // namespace chunkkv::eval
