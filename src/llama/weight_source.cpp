#include "llama/weight_source.h"

#include <chunkkv/error.h>

#include "kernels/layouts.h"

#include <ggml-cpu.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

namespace chunkkv::engine {
namespace {

using kernels::BlockLayout;
using kernels::Layout;

Layout layout_of(ggml_backend_buffer_type_t type) {
  const char* name = ggml_backend_buft_name(type);
  if (std::strcmp(name, "AMX") == 0) return Layout::amx;
  if (std::strcmp(name, "CPU_REPACK") == 0) return Layout::interleaved;
  return ggml_backend_buft_is_host(type) ? Layout::plain : Layout::other;
}

const BlockLayout* our_layout(Layout layout, ggml_type type) {
  switch (layout) {
    case Layout::interleaved:
      return kernels::interleaved_layout(ggml_type_name(type));
    case Layout::amx:
      return kernels::amx_layout(ggml_type_name(type));
    default:
      return nullptr;
  }
}

/// Reads all weights by their `layout`, as rows of F32: [n_out][depth].
std::vector<float> read_layout(const kernels::Weights& weights, std::int64_t n_out) {
  const BlockLayout& layout = *weights.layout;
  std::vector<float> rows(std::size_t(n_out * weights.depth));
  if (!layout.by_depth) {
    kernels::read_rows(weights, 0, n_out, 0, weights.depth, rows.data(), weights.depth);
    return rows;
  }
  std::vector<float> block(std::size_t(layout.depth * layout.outputs));
  const char* from = weights.data;
  for (std::int64_t o = 0; o < n_out; o += layout.outputs)
    for (std::int64_t k = 0; k < weights.depth; k += layout.depth, from += layout.bytes) {
      layout.read(from, weights.to_float, block.data(), layout.outputs);
      for (std::int64_t d = 0; d < layout.depth; ++d)
        for (std::int64_t r = 0; r < layout.outputs; ++r)
          rows[std::size_t((o + r) * weights.depth + k + d)] = block[std::size_t(d * layout.outputs + r)];
    }
  return rows;
}

/// Reads all weights by their `quants`, as small whole numbers with scales, as rows of F32: [n_out][depth].
std::vector<float> read_whole_numbers(const kernels::Weights& weights, std::int64_t n_out) {
  constexpr std::int64_t n_rows = kernels::kQuantRows;
  const kernels::ByteQuants& quants = *weights.quants;
  std::vector<float> rows(std::size_t(n_out * weights.depth));
  std::vector<char> numbers(std::size_t(n_rows * kernels::kMostQuantDepth));
  std::vector<float> scales(numbers.size()), mins(numbers.size());
  for (std::int64_t o = 0; o < n_out; o += n_rows)
    for (std::int64_t k = 0; k < weights.depth; k += quants.depth) {
      read_quants(weights, o, k,
                  {.numbers = numbers.data(),
                   .quad_bytes = 4 * n_rows,
                   .scales = scales.data(),
                   .mins = mins.data(),
                   .part_step = n_rows});
      for (std::int64_t r = 0; r < n_rows; ++r)
        for (std::int64_t d = 0; d < quants.depth; ++d) {
          const auto part = std::size_t(d / quants.part * n_rows + r);
          const auto byte = std::uint8_t(numbers[std::size_t((d / 4 * n_rows + r) * 4 + d % 4)]);
          rows[std::size_t((o + r) * weights.depth + k + d)] =
              scales[part] * float(byte - quants.offset) - mins[part];
        }
    }
  return rows;
}

/// Random weights of one type as the engine stores them in a buffer of one type, with their values in F32.
class Sample {
 public:
  static constexpr std::int64_t kNOut = 64, kDepth = 512;

  Sample(ggml_backend_buffer_type_t buffer_type, ggml_type type)
      : context_(
            ggml_init({.mem_size = 2 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true})),
        values_(std::size_t(kNOut * kDepth)) {
    if (!context_) throw Error("out of memory");
    std::mt19937 random(1);
    std::normal_distribution<float> number(0.1f, 1.0f);
    for (float& value : values_) value = number(random);
    std::vector<char> plain(ggml_row_size(type, kDepth) * std::size_t(kNOut));
    ggml_quantize_chunk(type, values_.data(), plain.data(), 0, kNOut, kDepth, nullptr);
    ggml_get_type_traits(type)->to_float(plain.data(), values_.data(), kNOut * kDepth);

    tensor_ = ggml_new_tensor_2d(context_.get(), type, kDepth, kNOut);
    buffer_.reset(
        ggml_backend_buft_alloc_buffer(buffer_type, ggml_backend_buft_get_alloc_size(buffer_type, tensor_)));
    if (!buffer_) throw Error("out of memory");
    ggml_backend_buffer_set_usage(buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    ggml_backend_tensor_alloc(buffer_.get(), tensor_, ggml_backend_buffer_get_base(buffer_.get()));
    laid_out_ = layout_of(buffer_type) == Layout::plain || tensor_->extra != nullptr;
    if (laid_out_) ggml_backend_tensor_set(tensor_, plain.data(), 0, plain.size());
  }

  /// The stored weights; the caller sets the layout or quants to read them by.
  kernels::Weights weights() const {
    return {.data = static_cast<const char*>(tensor_->data),
            .depth = kDepth,
            .row = tensor_->nb[1],
            .to_float = ggml_get_type_traits(tensor_->type)->to_float};
  }
  bool is(const std::vector<float>& read) const {
    return laid_out_ && std::equal(read.begin(), read.end(), values_.begin(), [](float a, float b) {
             return std::fabs(a - b) <= 1e-5f * (1 + std::fabs(b));
           });
  }
  bool laid_out() const { return laid_out_; }

 private:
  GgmlContext context_;
  std::vector<float> values_;
  BufferHandle buffer_;
  ggml_tensor* tensor_ = nullptr;
  bool laid_out_ = false;
};

/// How to read weights of one type in one layout: the ways that read a sample rightly, else null.
struct Reading {
  const BlockLayout* layout = nullptr;
  const kernels::ByteQuants* quants = nullptr;
};

Reading test_reading(ggml_backend_buffer_type_t buffer_type, ggml_type type) {
  const Layout layout = layout_of(buffer_type);
  Reading reading{.layout = our_layout(layout, type),
                  .quants = layout == Layout::amx
                                ? nullptr
                                : kernels::byte_quants(ggml_type_name(type), layout == Layout::interleaved)};
  if (!machine().avx2) reading.quants = nullptr;
  if (reading.layout == nullptr && reading.quants == nullptr) return {};
  const Sample sample(buffer_type, type);
  if (!sample.laid_out()) return {};
  kernels::Weights weights = sample.weights();
  if (reading.layout != nullptr) {
    weights.layout = reading.layout;
    if (!sample.is(read_layout(weights, Sample::kNOut))) reading.layout = nullptr;
  }
  if (reading.quants != nullptr) {
    weights.quants = reading.quants;
    if (!sample.is(read_whole_numbers(weights, Sample::kNOut))) reading.quants = nullptr;
  }
  return reading;
}

/// Each layout and type is tried when a model first has such weights, since a sample takes some milliseconds.
Reading reading_of(Layout layout, ggml_type type) {
  static std::mutex mutex;
  static std::map<std::pair<Layout, ggml_type>, Reading> known;
  const std::lock_guard lock(mutex);
  if (const auto it = known.find({layout, type}); it != known.end()) return it->second;
  Reading reading;
  for (const ggml_backend_buffer_type_t buffer_type : weight_buffer_types())
    if (layout_of(buffer_type) == layout) reading = test_reading(buffer_type, type);
  known.emplace(std::pair(layout, type), reading);
  return reading;
}

}  // namespace

std::vector<ggml_backend_buffer_type_t> weight_buffer_types() {
  std::vector<ggml_backend_buffer_type_t> types = {ggml_backend_cpu_buffer_type()};
  const ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (cpu == nullptr) return types;
  const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
      ggml_backend_dev_backend_reg(cpu), "ggml_backend_dev_get_extra_bufts"));
  if (list == nullptr) return types;
  for (ggml_backend_buffer_type_t* type = list(cpu); type != nullptr && *type != nullptr; ++type)
    types.push_back(*type);
  return types;
}

const kernels::Machine& machine() {
  static const kernels::Machine machine = [] {
    kernels::Machine result = kernels::this_processor();
    for (const ggml_backend_buffer_type_t type : weight_buffer_types()) {
      result.engine_amx |= layout_of(type) == Layout::amx;
      result.engine_interleaved |= layout_of(type) == Layout::interleaved;
    }
    return result;
  }();
  return machine;
}

kernels::Layout layout_of(const ggml_tensor* weights) {
  const ggml_backend_buffer_t buffer =
      weights->view_src != nullptr ? weights->view_src->buffer : weights->buffer;
  if (buffer == nullptr) return Layout::other;
  const Layout layout = layout_of(ggml_backend_buffer_get_type(buffer));
  // Weights that the engine stores in another layout have an `extra`.
  return layout == Layout::plain && weights->extra != nullptr ? Layout::other : layout;
}

std::optional<kernels::Weights> source_of(const ggml_tensor* weights) {
  const Layout layout = layout_of(weights);
  kernels::Weights source{.data = static_cast<const char*>(weights->data),
                          .depth = weights->ne[0],
                          .row = weights->nb[1],
                          .to_float = ggml_get_type_traits(weights->type)->to_float};
  if (weights->type == GGML_TYPE_F16)  // by vectors, unlike that of the type
    source.to_float = [](const void* from, float* to, std::int64_t count) {
      ggml_cpu_fp16_to_fp32(static_cast<const ggml_fp16_t*>(from), to, count);
    };
  if (source.to_float == nullptr || layout == Layout::other) return std::nullopt;
  const Reading reading = reading_of(layout, weights->type);
  source.layout = reading.layout;
  source.quants = reading.quants;
  if (layout == Layout::plain) return source;
  if (weights->extra == nullptr || source.layout == nullptr || source.depth % source.layout->depth != 0)
    return std::nullopt;
  return source;
}

const kernels::ProductKernel* kernel_for(const kernels::Weights& weights, kernels::Arithmetic arithmetic) {
  if (arithmetic == kernels::Arithmetic::bytes && weights.quants == nullptr)
    arithmetic = machine().avx512fp16 ? kernels::Arithmetic::f16_avx512 : kernels::Arithmetic::words;
  const kernels::ProductKernel* kernel = kernels::product_kernel(arithmetic);
  const bool by_depth = weights.layout != nullptr && weights.layout->by_depth;
  return kernel == nullptr || (by_depth && !kernel->reads_by_depth) ? nullptr : kernel;
}

}  // namespace chunkkv::engine
