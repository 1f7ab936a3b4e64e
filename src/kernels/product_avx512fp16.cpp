// Compiled for AVX-512 with FP16, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product.h"
#include "kernels/transpose_avx512.h"

#include <immintrin.h>

namespace chunkkv::kernels {
namespace {

// A vector holds two neighbouring depths for each of 16 outputs, so that a plain broadcast brings a pair of
// activations to all of its lanes.
constexpr int kVectorOutputs = 16;
constexpr int kPanelVectors = int(kProductOutputs) / kVectorOutputs;
constexpr int kMostTokens = 6;               // times kPanelVectors: their sums fill the registers
constexpr std::int64_t kChain = 32;          // pairs that are added up in F16
constexpr std::int64_t kDepthAtOnce = 4096;  // a panel of this depth fits into the second-level cache
constexpr float kHighestActivation = 16;     // weights are up to 1: 32 products in F16 add up to 512 at most
constexpr int kRowsAtOnce = 8;               // rows of a block in the engine's interleaved layout
constexpr std::size_t kPairBytes = 4;

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}
constexpr std::int64_t min_of(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

struct SharedOffsets {
  std::size_t x, scales, bytes;
  explicit SharedOffsets(const ProductTask& task)
      : x(0),
        scales(aligned(std::size_t(task.n_tokens * task.weights.depth) * 2)),
        bytes(scales + aligned(std::size_t(task.n_tokens) * 4)) {}
};

struct OwnOffsets {
  std::size_t panel, rows, row, scales, bytes;
  explicit OwnOffsets(const ProductTask& task)
      : panel(0),
        rows(std::size_t(min_of(task.weights.depth, kDepthAtOnce)) * std::size_t(kProductOutputs) * 2),
        row(rows + std::size_t(task.weights.depth) * kVectorOutputs * 2),
        scales(row + std::size_t(task.weights.depth) * kRowsAtOnce * 4),
        bytes(scales + aligned(std::size_t(kProductOutputs) * 4)) {}
};

/// Rounds a row to F16, scaled so that its largest magnitude is `highest`. Returns the factor that undoes it.
float to_half(const float* row, std::int64_t n, float highest, char* to) {
  __m512 largest = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < n; i += 16)
    largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_loadu_ps(row + i)));
  const float most = _mm512_reduce_max_ps(largest);
  const float scale = most > 1e-30f ? highest / most : 1.0f;
  const __m512 s = _mm512_set1_ps(scale);
  for (std::int64_t i = 0; i < n; i += 16)
    _mm256_storeu_si256((__m256i*)(to + 2 * i),
                        _mm512_cvtps_ph(_mm512_mul_ps(s, _mm512_loadu_ps(row + i)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  return 1 / scale;
}

/// Reads 16 rows of weights as F16, and writes their scales.
void take_rows(const Weights& weights, std::int64_t first, char* rows, float* buffer, float* scales) {
  for (int r = 0; r < kVectorOutputs; r += kRowsAtOnce) {
    read_rows(weights, first + r, kRowsAtOnce, 0, weights.depth, buffer, weights.depth);
    for (int i = 0; i < kRowsAtOnce; ++i)
      scales[r + i] =
          to_half(buffer + weights.depth * i, weights.depth, 1.0f, rows + 2 * weights.depth * (r + i));
  }
}

/// Packs the depths first .. first + n of 16 rows as vector `v` of a panel [pairs of depth][64 outputs].
void pack(const char* rows, std::int64_t depth, std::int64_t first, std::int64_t n, int v, char* panel) {
  for (std::int64_t k = 0; k < n; k += 32) {
    __m512i r[16];
    for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(rows + 2 * (depth * i + first + k));
    transpose(r);
    for (int i = 0; i < 16; ++i)
      _mm512_store_si512(panel + (k / 2 + i) * kProductOutputs * std::int64_t(kPairBytes) + 64 * v, r[i]);
  }
}

/// Multiplies `Tokens` tokens with a panel over `n` depths.
template <int Tokens>
void multiply(const char* x, std::size_t x_row, const float* x_scales, const char* panel,
              const float* weight_scales, std::int64_t n, float* out, std::size_t out_row, bool add) {
  __m512 sums[Tokens][kPanelVectors][2];
  for (int t = 0; t < Tokens; ++t)
    for (int v = 0; v < kPanelVectors; ++v) sums[t][v][0] = sums[t][v][1] = _mm512_setzero_ps();

  const std::int64_t pairs = n / 2;
  for (std::int64_t first = 0; first < pairs; first += kChain) {
    const std::int64_t end = min_of(first + kChain, pairs);
    __m512h s[Tokens][kPanelVectors];
    for (int t = 0; t < Tokens; ++t)
      for (int v = 0; v < kPanelVectors; ++v) s[t][v] = _mm512_setzero_ph();
    for (std::int64_t k = first; k < end; ++k) {
      __m512h w[kPanelVectors];
      for (int v = 0; v < kPanelVectors; ++v)
        w[v] = (__m512h)_mm512_load_si512(panel + k * kProductOutputs * std::int64_t(kPairBytes) + 64 * v);
      for (int t = 0; t < Tokens; ++t) {
        const __m512h pair = (__m512h)_mm512_set1_epi32(*(const int*)(x + x_row * std::size_t(t) + 4 * k));
        for (int v = 0; v < kPanelVectors; ++v) s[t][v] = _mm512_fmadd_ph(w[v], pair, s[t][v]);
      }
    }
    for (int t = 0; t < Tokens; ++t)
      for (int v = 0; v < kPanelVectors; ++v) {
        const __m512i bits = (__m512i)s[t][v];
        sums[t][v][0] = _mm512_add_ps(sums[t][v][0], _mm512_cvtph_ps(_mm512_castsi512_si256(bits)));
        sums[t][v][1] = _mm512_add_ps(sums[t][v][1], _mm512_cvtph_ps(_mm512_extracti64x4_epi64(bits, 1)));
      }
  }

  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  for (int t = 0; t < Tokens; ++t) {
    float* to = (float*)((char*)out + out_row * std::size_t(t));
    for (int v = 0; v < kPanelVectors; ++v) {
      const __m512 a = sums[t][v][0], b = sums[t][v][1];
      __m512 y = _mm512_add_ps(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b));
      y = _mm512_mul_ps(
          y, _mm512_mul_ps(_mm512_set1_ps(x_scales[t]), _mm512_load_ps(weight_scales + kVectorOutputs * v)));
      if (add) y = _mm512_add_ps(y, _mm512_loadu_ps(to + kVectorOutputs * v));
      _mm512_storeu_ps(to + kVectorOutputs * v, y);
    }
  }
}

/// Multiplies all tokens with a panel, over the depths k .. k + n.
void multiply_all(const ProductTask& task, const char* halves, const float* x_scales, const char* panel,
                  const float* scales, std::int64_t output, std::int64_t k, std::int64_t n) {
  const std::size_t x_row = std::size_t(task.weights.depth) * 2;
  for (std::int64_t t = 0; t < task.n_tokens; t += kMostTokens) {
    const char* x = halves + x_row * std::size_t(t) + 2 * k;
    float* out = (float*)(task.out + task.out_row * std::size_t(t)) + output;
    auto run = [&](auto multiply_some) {
      multiply_some(x, x_row, x_scales + t, panel, scales, n, out, task.out_row, k > 0);
    };
    switch (min_of(kMostTokens, task.n_tokens - t)) {
      case 6:
        run(multiply<6>);
        break;
      case 5:
        run(multiply<5>);
        break;
      case 4:
        run(multiply<4>);
        break;
      case 3:
        run(multiply<3>);
        break;
      case 2:
        run(multiply<2>);
        break;
      default:
        run(multiply<1>);
    }
  }
}

std::size_t shared_bytes(const ProductTask& task) {
  return SharedOffsets(task).bytes;
}

std::size_t thread_bytes(const ProductTask& task) {
  return OwnOffsets(task).bytes;
}

void run(const ProductTask& task, int thread, int n_threads, char* shared, char* own, Team& team) {
  const SharedOffsets in(task);
  const OwnOffsets at(task);
  const std::int64_t depth = task.weights.depth;
  float* x_scales = (float*)(shared + in.scales);
  for (std::int64_t t = thread; t < task.n_tokens && !task.is_packed; t += n_threads)
    x_scales[t] = to_half((const float*)(task.x + task.x_row * std::size_t(t)), depth, kHighestActivation,
                          shared + std::size_t(depth) * 2 * std::size_t(t));
  barrier(team, n_threads);

  float* scales = (float*)(own + at.scales);
  for (;;) {
    const std::int64_t o = team.next.fetch_add(1) * kProductOutputs;
    if (o >= task.n_out) return;
    for (std::int64_t k = 0; k < depth; k += kDepthAtOnce) {
      const std::int64_t n = min_of(kDepthAtOnce, depth - k);
      for (int v = 0; v < kPanelVectors; ++v) {
        take_rows(task.weights, o + v * kVectorOutputs, own + at.rows, (float*)(own + at.row),
                  scales + v * kVectorOutputs);
        pack(own + at.rows, depth, k, n, v, own + at.panel);
      }
      multiply_all(task, shared + in.x, x_scales, own + at.panel, scales, o, k, n);
    }
  }
}

}  // namespace

const ProductKernel kProductAvx512fp16 = {.arithmetic = Arithmetic::f16_avx512,
                                          .name = "F16, AVX512-FP16",
                                          .reads_by_depth = false,
                                          .shared_bytes = shared_bytes,
                                          .thread_bytes = thread_bytes,
                                          .run = run};

}  // namespace chunkkv::kernels
