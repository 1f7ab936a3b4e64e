#include "tiny_gguf.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <unistd.h>

namespace chunkkv::test {

namespace {

constexpr std::size_t max_tensors = 1024;

// SentencePiece token types, as GGUF numbers them.
enum TokenType : std::int32_t { normal = 1, unknown = 2, control = 3, byte = 6 };

}  // namespace

GgufBuilder::GgufBuilder(std::string architecture, std::uint32_t seed, ggml_type matrix_type)
    : architecture_(std::move(architecture)),
      matrix_type_(matrix_type),
      random_(seed),
      file_(gguf_init_empty()),
      tensors_(ggml_init({max_tensors * ggml_tensor_overhead(), nullptr, true})) {
  gguf_set_val_str(file_.get(), "general.architecture", architecture_.c_str());
}

void GgufBuilder::set(const std::string& key, std::uint32_t value) {
  gguf_set_val_u32(file_.get(), full(key).c_str(), value);
}

void GgufBuilder::set(const std::string& key, float value) {
  gguf_set_val_f32(file_.get(), full(key).c_str(), value);
}

void GgufBuilder::set(const std::string& key, bool value) {
  gguf_set_val_bool(file_.get(), full(key).c_str(), value);
}

void GgufBuilder::set(const std::string& key, const std::vector<std::int32_t>& values) {
  gguf_set_arr_data(file_.get(), full(key).c_str(), GGUF_TYPE_INT32, values.data(), values.size());
}

void GgufBuilder::set_tokenizer(std::uint32_t n_vocab) {
  std::vector<std::string> texts = {"<unk>", "<s>", "</s>"};
  std::vector<std::int32_t> types = {unknown, control, control};
  const auto add = [&](std::string text, TokenType type) {
    texts.push_back(std::move(text));
    types.push_back(type);
  };
  for (int i = 0; i < 256; ++i) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "<0x%02X>", i);
    add(text.data(), byte);
  }
  add("\xe2\x96\x81", normal);  // SentencePiece's blank, which bytes alone would spell as three tokens
  while (texts.size() < n_vocab) add("[" + std::to_string(texts.size()) + "]", normal);
  if (texts.size() != n_vocab) {
    throw std::invalid_argument("a tiny model needs at least " + std::to_string(texts.size()) + " tokens");
  }

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
  gguf_set_val_u32(file, "tokenizer.ggml.token_type_count", 2);  // segments; encoders want them
  gguf_set_val_bool(file, "tokenizer.ggml.add_bos_token", true);
  gguf_set_val_bool(file, "tokenizer.ggml.add_space_prefix", false);
}

void GgufBuilder::matrix(const std::string& name, std::int64_t n_in, std::initializer_list<Rows> parts) {
  std::vector<float> values;
  std::int64_t n_out = 0;
  for (const Rows& part : parts) {
    std::normal_distribution<float> draw(0.0F, part.gain / std::sqrt(float(n_in)));
    for (std::int64_t i = 0; i < n_in * part.n; ++i) values.push_back(draw(random_));
    n_out += part.n;
  }
  add(name, {n_in, n_out}, matrix_type_, values);
}

void GgufBuilder::values(const std::string& name, std::initializer_list<std::int64_t> shape, float mean,
                         float deviation) {
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) n *= extent;
  std::normal_distribution<float> draw(mean, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = draw(random_);
  add(name, shape, GGML_TYPE_F32, values);
}

void GgufBuilder::add(const std::string& name, std::initializer_list<std::int64_t> shape, ggml_type type,
                      const std::vector<float>& values) {
  ggml_tensor* tensor = ggml_new_tensor(tensors_.get(), type, int(shape.size()), shape.begin());
  ggml_set_name(tensor, name.c_str());
  std::vector<std::byte>& data = data_.emplace_back(ggml_nbytes(tensor));
  if (type == GGML_TYPE_F16) {
    ggml_fp32_to_fp16_row(values.data(), reinterpret_cast<ggml_fp16_t*>(data.data()),
                          std::int64_t(values.size()));
  } else {
    std::memcpy(data.data(), values.data(), data.size());
  }
  tensor->data = data.data();
  gguf_add_tensor(file_.get(), tensor);
}

void GgufBuilder::write(const std::filesystem::path& path) const {
  // Renamed when finished: another process may hold the old file mapped, or look for it meanwhile.
  std::filesystem::path part = path;
  part += "." + std::to_string(getpid()) + ".part";
  if (!gguf_write_to_file(file_.get(), part.c_str(), false)) {
    std::filesystem::remove(part);
    throw std::runtime_error("cannot write " + part.string());
  }
  std::filesystem::rename(part, path);
}

}  // namespace chunkkv::test
