// Our kernels read every layout that the engine makes on this machine; none is silently left to the engine.
#include "llama/weight_source.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

namespace chunkkv::engine {
namespace {

struct FreeBuffer {
  void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};

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

 private:
  GgmlContext context_;
  ggml_tensor* tensor_;
  std::unique_ptr<ggml_backend_buffer, FreeBuffer> buffer_;
};

TEST(WeightSource, EveryLayoutOfTheEngineIsRead) {
  ggml_backend_load_all();
  for (const ggml_backend_buffer_type_t buffer_type : weight_buffer_types())
    for (const ggml_type type :
         {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q2_K,
          GGML_TYPE_Q3_K, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_F16,
          GGML_TYPE_BF16}) {
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
      EXPECT_TRUE(best_product(machine(), shape, layout) != kernels::Arithmetic::bytes || in_bytes);
    }
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
