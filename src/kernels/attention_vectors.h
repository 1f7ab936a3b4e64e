#pragma once

#include "kernels/attention.h"
#include "kernels/memory_parts.h"

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"  // such vectors are never passed between sources

// Without external linkage: each source keeps its own copy, so that none compiled for one processor is
// run on another.
namespace chunkkv::kernels {
namespace {

#define CHUNKKV_INLINE inline __attribute__((always_inline))

template <int Width>
struct VectorTypes;
template <>
struct VectorTypes<8> {
  typedef float F __attribute__((vector_size(32)));
  typedef std::int32_t I __attribute__((vector_size(32)));
  typedef std::uint32_t U __attribute__((vector_size(32)));
};
template <>
struct VectorTypes<16> {
  typedef float F __attribute__((vector_size(64)));
  typedef std::int32_t I __attribute__((vector_size(64)));
  typedef std::uint32_t U __attribute__((vector_size(64)));
};

/// Vectors of `Width` numbers: the compiler's own types, which work on every processor. A product and a sum
/// become one instruction in sources that are compiled for FMA.
template <int Width>
struct Vectors {
  static constexpr int kWidth = Width;
  using F = typename VectorTypes<Width>::F;
  using I = typename VectorTypes<Width>::I;
  using U = typename VectorTypes<Width>::U;

  static CHUNKKV_INLINE F load(const float* from) {
    F x;
    std::memcpy(&x, from, sizeof x);
    return x;
  }
  static CHUNKKV_INLINE I load(const std::uint32_t* from) {
    I x;
    std::memcpy(&x, from, sizeof x);
    return x;
  }
  static CHUNKKV_INLINE void store(float* to, F x) { std::memcpy(to, &x, sizeof x); }
  static CHUNKKV_INLINE F all(float x) { return x - F{}; }

  /// The greater number in each lane, or `b` where one of the two is NaN.
  static CHUNKKV_INLINE F maximum(F a, F b) {
#if defined(__AVX512F__)
    if constexpr (Width == 16) return (F)_mm512_max_ps((__m512)a, (__m512)b);
#endif
#if defined(__AVX2__)
    if constexpr (Width == 8) return (F)_mm256_max_ps((__m256)a, (__m256)b);
#endif
    return a > b ? a : b;
  }

  static CHUNKKV_INLINE I maximum(I a, I b) {
    return a > b ? a : b;
  }

  static CHUNKKV_INLINE bool any(I x) {
#if defined(__AVX512F__)
    if constexpr (Width == 16) return _mm512_test_epi32_mask((__m512i)x, (__m512i)x) != 0;
#endif
#if defined(__AVX2__)
    if constexpr (Width == 8) return _mm256_movemask_ps((__m256)x) != 0;
#endif
    std::int32_t bits = 0;
    for (int i = 0; i < Width; ++i) bits |= x[i];
    return bits != 0;
  }

  /// The lanes in which `a` exceeds `b`, as the bits of a number.
  static CHUNKKV_INLINE std::uint32_t above(F a, F b) {
#if defined(__AVX512F__)
    if constexpr (Width == 16) return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ);
#endif
    const I is_above = a > b;
#if defined(__AVX2__)
    if constexpr (Width == 8) return std::uint32_t(_mm256_movemask_ps((__m256)is_above));
#endif
    std::uint32_t bits = 0;
    for (int i = 0; i < Width; ++i) bits |= std::uint32_t(is_above[i] != 0) << i;
    return bits;
  }

  /// `x` where bit `bit` of `words` is set, else minus infinity.
  static CHUNKKV_INLINE F shown(I words, int bit, F x) {
    const I unseen = ((words << (31 - bit)) >> 31) ^ -1;
    return (F)(((I)x & ~unseen) | (unseen & (std::int32_t)0xff800000));
  }

  /// 2^x + more 2^floor(x), for x up to 126 (beyond, any number): a polynomial of x - floor(x) times a power
  /// of two. x below -125 counts as -125, since denormal numbers are slow; NaN gives NaN.
  template <int Degree>
  static CHUNKKV_INLINE F exp2(F x, float more = 0) {
    static_assert(Degree == 3 || Degree == 5);
    const F bounded = maximum(all(-125.0f), x);
#if defined(__AVX512DQ__)
    if constexpr (Width == 16) {
      const __m512 f = _mm512_reduce_ps((__m512)bounded, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
      return (F)_mm512_scalef_ps((__m512)mantissa<Degree>((F)f, more), (__m512)bounded);
    }
#endif
    const F whole = floor(bounded);
    const U exponent = (U)(whole + all(0x1.8p23f)) << 23;  // the lowest bits of the sum hold the whole number
    return mantissa<Degree>(bounded - whole, more) * (F)(exponent + 0x3f800000u);
  }

  /// The capped logit softcap tanh(y) in powers of two, of y = logit / softcap. `x` is 2y in powers of two:
  /// tanh(y) = 1 - 2 / (e^2y + 1) = 1 - 2 / (2^x + 1).
  static CHUNKKV_INLINE F capped(F x, float softcap) {
    constexpr float log2e = 1.44269504f;
    // Beyond 60 the result does not change any more.
    const F bounded = -maximum(all(-60.0f), -x);
    return all(softcap * log2e) * (all(1.0f) - all(2.0f) / (exp2<5>(bounded) + all(1.0f)));
  }

  /// Stores the sum of each of four vectors.
  static CHUNKKV_INLINE void store_sums(const F& a, const F& b, const F& c, const F& d, float* to) {
#if defined(__AVX512F__)
    if constexpr (Width == 16) {
      const __m512 ab =
          _mm512_add_ps(_mm512_unpacklo_ps((__m512)a, (__m512)b), _mm512_unpackhi_ps((__m512)a, (__m512)b));
      const __m512 cd =
          _mm512_add_ps(_mm512_unpacklo_ps((__m512)c, (__m512)d), _mm512_unpackhi_ps((__m512)c, (__m512)d));
      return store_sum_of_fours(
          (F)_mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee)), to);
    }
#endif
#if defined(__AVX2__)
    if constexpr (Width == 8) {
      const __m256 halves =
          _mm256_hadd_ps(_mm256_hadd_ps((__m256)a, (__m256)b), _mm256_hadd_ps((__m256)c, (__m256)d));
      return _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)));
    }
#endif
    const F* rows[4] = {&a, &b, &c, &d};
    for (int r = 0; r < 4; ++r) {
      const F& x = *rows[r];
      if constexpr (Width == 8) {
        to[r] = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
      } else {
        float quarters[4];
        for (int i = 0; i < 4; ++i) quarters[i] = (x[4 * i] + x[4 * i + 2]) + (x[4 * i + 1] + x[4 * i + 3]);
        to[r] = (quarters[0] + quarters[2]) + (quarters[1] + quarters[3]);
      }
    }
  }

  /// Stores for each of two vectors the sum of its even and that of its odd numbers.
  static CHUNKKV_INLINE void store_sums_of_pairs(const F& a, const F& b, float* to) {
    static_assert(Width == 16);
#if defined(__AVX512F__)
    const __m512d first = (__m512d)a, second = (__m512d)b;
    store_sum_of_fours((F)_mm512_add_ps((__m512)_mm512_unpacklo_pd(first, second),
                                        (__m512)_mm512_unpackhi_pd(first, second)),
                       to);
#else
    F fours;
    for (int i = 0; i < Width; i += 4)
      for (int k = 0; k < 2; ++k) {
        fours[i + k] = a[i + k] + a[i + 2 + k];
        fours[i + 2 + k] = b[i + k] + b[i + 2 + k];
      }
    store_sum_of_fours(fours, to);
#endif
  }

  /// Stores four vectors as columns side by side: `to` has a row of 4 for each lane, `stride` numbers apart.
  static CHUNKKV_INLINE void store_columns(const F& a, const F& b, const F& c, const F& d, float* to,
                                           std::int64_t stride) {
#if defined(__AVX512F__)
    if constexpr (Width == 16) {
      const __m512 ab_low = _mm512_unpacklo_ps((__m512)a, (__m512)b);  // a0 b0 a1 b1 | a4 b4 a5 b5 | ...
      const __m512 ab_high = _mm512_unpackhi_ps((__m512)a, (__m512)b);
      const __m512 cd_low = _mm512_unpacklo_ps((__m512)c, (__m512)d);
      const __m512 cd_high = _mm512_unpackhi_ps((__m512)c, (__m512)d);
      const __m512 columns[4] = {
          _mm512_shuffle_ps(ab_low, cd_low, 0x44), _mm512_shuffle_ps(ab_low, cd_low, 0xee),
          _mm512_shuffle_ps(ab_high, cd_high, 0x44), _mm512_shuffle_ps(ab_high, cd_high, 0xee)};
      for (int i = 0; i < 4; ++i) {
        _mm_storeu_ps(to + stride * i, _mm512_castps512_ps128(columns[i]));
        _mm_storeu_ps(to + stride * (4 + i), _mm512_extractf32x4_ps(columns[i], 1));
        _mm_storeu_ps(to + stride * (8 + i), _mm512_extractf32x4_ps(columns[i], 2));
        _mm_storeu_ps(to + stride * (12 + i), _mm512_extractf32x4_ps(columns[i], 3));
      }
      return;
    }
#endif
#if defined(__AVX2__)
    if constexpr (Width == 8) {
      const __m256 ab_low = _mm256_unpacklo_ps((__m256)a, (__m256)b);
      const __m256 ab_high = _mm256_unpackhi_ps((__m256)a, (__m256)b);
      const __m256 cd_low = _mm256_unpacklo_ps((__m256)c, (__m256)d);
      const __m256 cd_high = _mm256_unpackhi_ps((__m256)c, (__m256)d);
      const __m256 columns[4] = {
          _mm256_shuffle_ps(ab_low, cd_low, 0x44), _mm256_shuffle_ps(ab_low, cd_low, 0xee),
          _mm256_shuffle_ps(ab_high, cd_high, 0x44), _mm256_shuffle_ps(ab_high, cd_high, 0xee)};
      for (int i = 0; i < 4; ++i) {
        _mm_storeu_ps(to + stride * i, _mm256_castps256_ps128(columns[i]));
        _mm_storeu_ps(to + stride * (4 + i), _mm256_extractf128_ps(columns[i], 1));
      }
      return;
    }
#endif
    for (int i = 0; i < Width; ++i, to += stride) {
      to[0] = a[i];
      to[1] = b[i];
      to[2] = c[i];
      to[3] = d[i];
    }
  }

  /// Loads `Width` F16 numbers as F32.
  static CHUNKKV_INLINE F from_half(const char* from) {
#if defined(__AVX512F__)
    if constexpr (Width == 16) return (F)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
#endif
#if defined(__AVX2__)
    if constexpr (Width == 8) return (F)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
#endif
    std::uint16_t halves[Width];
    std::memcpy(halves, from, sizeof halves);
    I bits;
    for (int i = 0; i < Width; ++i) bits[i] = halves[i];
    // A product corrects the bias of the exponent; it also makes denormal numbers normal.
    const F magnitude = (F)((bits & 0x7fff) << 13) * all(0x1p112f);
    const I special = (bits & 0x7c00) == 0x7c00;
    return (F)((I)magnitude | (special & 0x7f800000) | ((bits & 0x8000) << 16));
  }

 private:
  /// Stores the sum of the four quarters of a vector.
  static CHUNKKV_INLINE void store_sum_of_fours(const F& x, float* to) {
#if defined(__AVX512F__)
    const __m256 halves = _mm256_add_ps(_mm512_castps512_ps256((__m512)x),
                                        _mm256_castpd_ps(_mm512_extractf64x4_pd((__m512d)x, 1)));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)));
#else
    for (int i = 0; i < 4; ++i) to[i] = (x[i] + x[i + 8]) + (x[i + 4] + x[i + 12]);
#endif
  }

  /// 2^f + more for f from 0 to 1, by the polynomials with the least maximal relative errors: 7.5e-5
  /// and 7.8e-8.
  template <int Degree>
  static CHUNKKV_INLINE F mantissa(F f, float more) {
    F p;
    if constexpr (Degree == 3) {
      p = all(0.078024523f) * f + all(0.22606715f);
      p = p * f + all(0.69583355f);
      return p * f + all(0.99992521f + more);
    }
    p = all(0.0018775767f) * f + all(0.0089893400f);
    p = p * f + all(0.055826319f);
    p = p * f + all(0.24015362f);
    p = p * f + all(0.69315307f);
    return p * f + all(0.99999992f + more);
  }

  static CHUNKKV_INLINE F floor(F x) {
#if defined(__AVX2__)
    if constexpr (Width == 8) return (F)_mm256_floor_ps((__m256)x);
#endif
    const F nearest = (x + all(0x1.8p23f)) - all(0x1.8p23f);
    return nearest - (F)((I)all(1.0f) & (nearest > x));
  }
};

/// Steps of arithmetic have four parts, which are done between rows of other work.
constexpr int kLastPart = 3;

template <class Steps>
CHUNKKV_INLINE void do_step(Steps& steps) {
  steps.template part<0>();
  steps.template part<1>();
  steps.template part<2>();
  steps.template part<3>();
}
template <class Steps>
CHUNKKV_INLINE void do_all(Steps& steps) {
  while (steps.left() > 0) do_step(steps);
}

/// Does four pieces of `work`, and after each a part of the next step if `has_step`.
template <class Steps, class Work>
CHUNKKV_INLINE void do_between(const Work& work, bool has_step, Steps& steps) {
  work(0);
  if (has_step) steps.template part<0>();
  work(1);
  if (has_step) steps.template part<1>();
  work(2);
  if (has_step) steps.template part<2>();
  work(3);
  if (has_step) steps.template part<3>();
}

/// Stands for the steps of arithmetic that computes logits at once (kHasSteps).
struct NoSteps {
  static std::int64_t left() { return 0; }
  template <int>
  static void part() {}
};

/// Spreads steps evenly over groups of rows.
class Pace {
 public:
  Pace() = default;
  Pace(std::int64_t steps, std::int64_t groups) : steps_(steps), groups_(groups) {}

  /// How many steps are due with the next group.
  CHUNKKV_INLINE std::int64_t next() {
    std::int64_t n = 0;
    for (due_ += steps_; due_ >= groups_; due_ -= groups_) ++n;
    return n;
  }

 private:
  std::int64_t steps_ = 0, groups_ = 1, due_ = 0;
};

/// Fetches `n` bytes into the first-level cache.
CHUNKKV_INLINE void fetch(const char* from, std::int64_t n) {
  for (std::int64_t byte = 0; byte < n; byte += 64) __builtin_prefetch(from + byte);
}

/// A row of a cache in F16; zeros if it is not below `n` or its bit in `seen` is 0. Fetches a later row: rows
/// of other heads lie between those of one, and the processor does not see by itself which come next.
CHUNKKV_INLINE const char* row_at(const char* rows, std::size_t row_bytes, std::int64_t row, std::int64_t n,
                                  std::int64_t depth, const std::uint32_t* seen) {
  alignas(64) static const char zeros[2 * kMostAttentionDepth] = {};
  if (row >= n || (seen[row / 32] >> (row % 32) & 1) == 0) return zeros;
  const char* from = rows + row_bytes * std::size_t(row);
  constexpr std::int64_t ahead = 16;
  if (row + ahead < n) fetch(from + ahead * std::int64_t(row_bytes), 2 * depth);
  return from;
}

/// Reads such a row as F32.
template <class V>
CHUNKKV_INLINE void take_row(const char* rows, std::size_t row_bytes, std::int64_t row, std::int64_t n,
                             std::int64_t depth, const std::uint32_t* seen, float* to) {
  const char* from = row_at(rows, row_bytes, row, n, depth, seen);
  for (std::int64_t d = 0; d < depth; d += V::kWidth) V::store(to + d, V::from_half(from + 2 * d));
}

CHUNKKV_INLINE float* numbers(char* memory) {
  return static_cast<float*>(static_cast<void*>(memory));
}
CHUNKKV_INLINE const float* numbers(const char* memory) {
  return static_cast<const float*>(static_cast<const void*>(memory));
}

CHUNKKV_INLINE const char* bytes(const float* numbers) {
  return static_cast<const char*>(static_cast<const void*>(numbers));
}

constexpr std::int64_t min_of(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

constexpr std::int64_t max_of(std::int64_t a, std::int64_t b) {
  return a < b ? b : a;
}

/// Adds the sum of each of four vectors to `to`, [n]; n up to 4.
template <class V>
CHUNKKV_INLINE void add_four_sums(const typename V::F (&vectors)[4], float* to, std::int64_t n = 4) {
  float four[4];
  V::store_sums(vectors[0], vectors[1], vectors[2], vectors[3], four);
  for (std::int64_t i = 0; i < n; ++i) to[i] += four[i];
}

/// Adds the sum of each of `n` vectors to `to`, [n]. They are read four at a time.
template <class V>
void add_sums(const float* vectors, std::int64_t n, float* to) {
  for (std::int64_t i = 0; i < n; i += 4, vectors += 4 * V::kWidth) {
    const typename V::F four[4] = {V::load(vectors), V::load(vectors + V::kWidth),
                                   V::load(vectors + 2 * V::kWidth), V::load(vectors + 3 * V::kWidth)};
    add_four_sums<V>(four, to + i, min_of(4, n - i));
  }
}

}  // namespace
}  // namespace chunkkv::kernels
