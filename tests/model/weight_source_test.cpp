// Our kernels read every layout that the engine makes on this machine; none is silently left to the engine.
#include "llama/weight_source.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::engine {
namespace {

/// A matrix of a weight type in a buffer of a type. It has no `extra` where the engine does not lay it out.
class Matrix {
 public:
  Matrix(ggml_backend_buffer_type_t buffer_type, ggml_type type)
      : context_(
            ggml_init({.mem_size = 2 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true})),
        tensor_(ggml_new_tensor_2d(context_.get(), type, 512, 64)),
        buffer_(ggml_backend_buft_alloc_buffer(buffer_type,
                                               ggml_backend_buft_get_alloc_size(buffer_type, tensor_))) {
    ggml_backend_tensor_alloc(buffer_.get(), tensor_, ggml_backend_buffer_get_base(buffer_.get()));
  }
  const ggml_tensor* get() const { return tensor_; }
  void set(const std::vector<char>& rows) { ggml_backend_tensor_set(tensor_, rows.data(), 0, rows.size()); }

 private:
  GgmlContext context_;
  ggml_tensor* tensor_;
  BufferHandle buffer_;
};

TEST(WeightSource, EveryLayoutOfTheEngineIsRead) {
  ggml_backend_load_all();
  for (const ggml_backend_buffer_type_t buffer_type : weight_buffer_types())
    for (const ggml_type type :
         {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q2_K,
          GGML_TYPE_Q3_K, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS,
          GGML_TYPE_MXFP4, GGML_TYPE_F16, GGML_TYPE_BF16}) {
      SCOPED_TRACE(std::string(ggml_backend_buft_name(buffer_type)) + " " + ggml_type_name(type));
      const Matrix matrix(buffer_type, type);
      const bool plain = buffer_type == ggml_backend_cpu_buffer_type();
      if (!plain && matrix.get()->extra == nullptr) continue;
      const kernels::Layout layout = layout_of(matrix.get());
      const kernels::WeightShape shape{.type = ggml_type_name(type), .n_out = 64, .depth = 512};
      // The buffer type for AMX accepts every matrix, but the engine puts only some types there.
      if (layout == kernels::Layout::amx &&
          (!machine().amx || type == GGML_TYPE_F16 || engine_layout(machine(), shape) != layout))
        continue;
      EXPECT_EQ(layout == kernels::Layout::plain, plain);
      const auto source = source_of(matrix.get());
      ASSERT_TRUE(source.has_value());
      EXPECT_EQ(source->layout == nullptr, plain);
      // Whatever we think to read as whole numbers reads the engine's sample rightly.
      const bool in_bytes =
          machine().avx2 && layout != kernels::Layout::amx &&
          kernels::byte_quants(shape.type, layout == kernels::Layout::interleaved) != nullptr;
      EXPECT_EQ(source->quants != nullptr, in_bytes);
      EXPECT_TRUE(best_product(machine(), shape, layout, 512) != kernels::Arithmetic::bytes || in_bytes);
    }
}

/// Random rows of a type, [64][512], as bytes and as what the engine reads in them, which is finite.
struct RandomRows {
  std::vector<char> bytes;
  std::vector<float> values = std::vector<float>(64 * 512);

  RandomRows(ggml_type type, test::Random& random) : bytes(ggml_row_size(type, 512) * 64) {
    const std::size_t block = ggml_type_size(type);
    const auto depth = ggml_blck_size(type);
    for (std::size_t b = 0; b < bytes.size() / block; ++b) {
      const std::span<float> read(values.data() + b * std::size_t(depth), std::size_t(depth));
      do {
        for (std::size_t i = 0; i < block; ++i) bytes[b * block + i] = char(random.integer(0, 255));
        ggml_get_type_traits(type)->to_float(bytes.data() + b * block, read.data(), depth);
      } while (std::ranges::any_of(read, [](float value) { return !std::isfinite(value); }));
    }
  }
};

/// What weights read as whole numbers stand for, [64][512], and how large the terms of each are.
struct WholeNumbers {
  std::vector<float> values = std::vector<float>(64 * 512), terms = values;

  explicit WholeNumbers(const kernels::Weights& weights) {
    const kernels::ByteQuants& quants = *weights.quants;
    std::vector<char> numbers(8 * kernels::kMostQuantDepth);
    std::vector<float> scales(numbers.size()), mins(numbers.size());
    for (std::int64_t row = 0; row < 64; row += 8)
      for (std::int64_t k = 0; k < 512; k += quants.depth) {
        read_quants(weights, row, k,
                    {.numbers = numbers.data(),
                     .quad_bytes = 32,
                     .scales = scales.data(),
                     .mins = mins.data(),
                     .part_step = 8});
        for (std::int64_t r = 0; r < 8; ++r)
          for (std::int64_t d = 0; d < quants.depth; ++d) {
            const auto part = std::size_t(d / quants.part * 8 + r), to = std::size_t((row + r) * 512 + k + d);
            const auto byte = std::uint8_t(numbers[std::size_t((d / 4 * 8 + r) * 4 + d % 4)]);
            const int number = byte - quants.offset;
            const float scaled = scales[part] * float(number), min = quants.offset != 0 ? 0 : mins[part];
            values[to] = scaled - min;
            terms[to] = std::fabs(scaled) + std::fabs(min);
          }
      }
  }
};

/// Every scale, number and min that a block can hold is read as the engine reads it.
TEST(WeightSource, WholeNumbersAreThoseOfAnyBlock) {
  ggml_backend_load_all();
  test::Random random;
  int n_read = 0;
  for (const ggml_backend_buffer_type_t buffer_type : weight_buffer_types())
    for (const ggml_type type :
         {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q2_K,
          GGML_TYPE_Q3_K, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS,
          GGML_TYPE_MXFP4}) {
      SCOPED_TRACE(std::string(ggml_backend_buft_name(buffer_type)) + " " + ggml_type_name(type));
      Matrix matrix(buffer_type, type);
      const bool plain = buffer_type == ggml_backend_cpu_buffer_type();
      if (!plain && matrix.get()->extra == nullptr) continue;
      const auto source = source_of(matrix.get());
      if (!source || source->quants == nullptr) continue;
      const RandomRows rows(type, random);
      matrix.set(rows.bytes);
      const WholeNumbers read(*source);
      for (std::size_t i = 0; i < rows.values.size(); ++i)
        ASSERT_NEAR(read.values[i], rows.values[i], 1e-6f * read.terms[i]) << i;
      ++n_read;
    }
  EXPECT_TRUE(n_read > 0 || !machine().avx2);
}

/// `engine_layout` predicts the layout that the engine makes.
TEST(WeightSource, TheEngineLaysOutWhatWeThink) {
  ggml_backend_load_all();
  for (const ggml_backend_buffer_type_t buffer_type : weight_buffer_types())
    for (const ggml_type type :
         {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q8_0, GGML_TYPE_Q2_K, GGML_TYPE_Q4_K,
          GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_BF16}) {
      if (std::strcmp(ggml_backend_buft_name(buffer_type), "CPU_REPACK") != 0) continue;
      const Matrix matrix(buffer_type, type);
      kernels::Machine without_amx = machine();
      without_amx.engine_amx = false;
      const kernels::WeightShape shape{.type = ggml_type_name(type), .n_out = 64, .depth = 512};
      EXPECT_EQ(engine_layout(without_amx, shape) == kernels::Layout::interleaved,
                matrix.get()->extra != nullptr)
          << ggml_type_name(type);
    }
}

}  // namespace
}  // namespace chunkkv::engine
