#include "tiny_gguf.h"

#include <cmath>
#include <cstring>
#include <span>
#include <utility>

namespace chunkkv::test {

GgufBuilder::GgufBuilder(std::string architecture, std::uint32_t seed, ggml_type matrix_type)
    : matrix_type_(matrix_type), random_(seed), file_(std::move(architecture)) {}

void GgufBuilder::matrix(const std::string& name, std::int64_t n_in, std::initializer_list<Rows> parts) {
  std::vector<float> values;
  std::int64_t n_out = 0;
  for (const Rows& part : parts) {
    std::normal_distribution<float> draw(0.0F, part.gain / std::sqrt(float(n_in)));
    for (std::int64_t i = 0; i < n_in * part.n; ++i) values.push_back(draw(random_));
    n_out += part.n;
  }
  add(name, std::vector<std::int64_t>{n_in, n_out}, matrix_type_, values);
}

void GgufBuilder::values(const std::string& name, std::initializer_list<std::int64_t> shape, float mean,
                         float deviation) {
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) n *= extent;
  std::normal_distribution<float> draw(mean, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = draw(random_);
  add(name, {shape.begin(), shape.size()}, GGML_TYPE_F32, values);
}

void GgufBuilder::add(const std::string& name, std::span<const std::int64_t> shape, ggml_type type,
                      const std::vector<float>& values) {
  std::vector<std::byte> data(values.size() * ggml_type_size(type));
  if (type == GGML_TYPE_F16) {
    ggml_fp32_to_fp16_row(values.data(), reinterpret_cast<ggml_fp16_t*>(data.data()),
                          std::int64_t(values.size()));
  } else {
    std::memcpy(data.data(), values.data(), data.size());
  }
  file_.add(name, shape, type,
            [data = std::move(data), at = std::size_t{0}](std::span<std::byte> part) mutable {
              std::memcpy(part.data(), data.data() + at, part.size());
              at += part.size();
            });
}

}  // namespace chunkkv::test
