#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

// The tiles of AMX-BF16, and the same in plain C++. A kernel is a template over one of the two, so that its
// source is tested on every machine. Vectors of 16 numbers are the compiler's own: any processor can do them.
#pragma GCC diagnostic ignored "-Wpsabi"  // such vectors are never passed between sources

namespace chunkkv::kernels {

/// Whether this processor has AMX-BF16 and AVX512-BF16 and the system lets this process use the tiles.
bool has_amx();

/// What `ldtilecfg` reads and `sttilecfg` writes. Palette 0: the tiles are off.
struct alignas(64) TileConfig {
  std::uint8_t palette = 0;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  /// All eight tiles with 16 rows of 64 bytes.
  static TileConfig whole() {
    TileConfig config;
    config.palette = 1;
    for (int i = 0; i < 8; ++i) {
      config.row_bytes[i] = 64;
      config.rows[i] = 16;
    }
    return config;
  }
};
static_assert(sizeof(TileConfig) == 64);

// Without external linkage: each source keeps its own copy, so that none compiled for one processor is
// run on another.
namespace {

#ifdef __x86_64__
/// The processor's tiles. Own assembly: GCC 12's intrinsics do not tell the compiler what memory they read.
struct Tiles {
  static TileConfig config() {
    TileConfig config;
    asm volatile("sttilecfg %0" : "=m"(config));
    return config;
  }
  static void configure(const TileConfig& config) { asm volatile("ldtilecfg %0" : : "m"(config) : "memory"); }
  template <int T>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(T));
  }
  /// 16 rows of 64 bytes, `stride` bytes from row to row.
  template <int T>
  static void load(const void* from, std::size_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  static void store(void* to, std::size_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(T) : "memory");
  }
  /// C[m][n] += sum over k and both halves h of a pair: A[m][k].h * B[k][n].h
  template <int C, int A, int B>
  static void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
};
#endif

/// Bit for bit what the processor's tiles do (Intel's Software Developer's Manual, TDPBF16PS): even and odd
/// terms are added up apart with fused multiply-adds, denormals count as zero. Each thread has its own tiles.
class EmulatedTiles {
 public:
  static TileConfig config() { return state().config; }
  static void configure(const TileConfig& config) {
    state() = {};
    state().config = config;
  }
  template <int T>
  static void zero() {
    std::memset(state().at(T), 0, sizeof(Tile));
  }
  template <int T>
  static void load(const void* from, std::size_t stride) {
    State& s = state();
    zero<T>();
    for (int row = 0; row < s.config.rows[T]; ++row)
      std::memcpy(s.at(T)[row], static_cast<const char*>(from) + stride * std::size_t(row),
                  s.config.row_bytes[T]);
  }
  template <int T>
  static void store(void* to, std::size_t stride) {
    State& s = state();
    for (int row = 0; row < s.config.rows[T]; ++row)
      std::memcpy(static_cast<char*>(to) + stride * std::size_t(row), s.at(T)[row], s.config.row_bytes[T]);
  }
  template <int C, int A, int B>
  static void multiply() {
    State& s = state();
    const int depth = s.config.row_bytes[A] / 4, columns = s.config.row_bytes[C] / 4;
    for (int m = 0; m < s.config.rows[C]; ++m)
      for (int n = 0; n < columns; ++n) {
        float even = 0, odd = 0;
        for (int k = 0; k < depth; ++k) {
          const std::uint32_t a = s.at(A)[m][k], b = s.at(B)[k][n];
          even = flushed(std::fma(number(a << 16), number(b << 16), even));
          odd = flushed(std::fma(number(a & 0xffff0000u), number(b & 0xffff0000u), odd));
        }
        const float sum = flushed(number(s.at(C)[m][n]) + flushed(even + odd));
        std::memcpy(&s.at(C)[m][n], &sum, sizeof sum);
      }
  }

 private:
  using Tile = std::uint32_t[16][16];
  struct State {
    TileConfig config;
    Tile tiles[8] = {};
    std::uint32_t (*at(int tile))[16] {
      if (config.palette == 0) std::abort();  // the processor faults
      return tiles[tile];
    }
  };
  static State& state() {
    static thread_local State state;
    return state;
  }
  static float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }
  static float number(std::uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return flushed(x);
  }
};

/// Configures the thread's tiles, and restores the earlier configuration when it goes out of scope: the
/// engine configures its tiles once a thread and relies on that.
template <class T>
class TileScope {
 public:
  TileScope() : before_(T::config()) { T::configure(TileConfig::whole()); }
  ~TileScope() { T::configure(before_); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;

 private:
  TileConfig before_;
};

/// Fetches a tile of 16 rows into the first-level cache.
inline __attribute__((always_inline)) void prefetch_tile(const char* tile) {
  for (int row = 0; row < 16; ++row) __builtin_prefetch(tile + 64 * row);
}

using Floats = float __attribute__((vector_size(64)));
using Words = std::uint32_t __attribute__((vector_size(64)));

/// Numbers rounded to BF16 as the processor does: to nearest, ties to even, denormal numbers to zero.
inline __attribute__((always_inline)) Words rounded_to_bf16(const Floats& x) {
  const Words bits = (Words)x, magnitude = bits & 0x7fffffffu;
  const Words nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Words nan = (Words)(magnitude > 0x7f800000u), tiny = (Words)(magnitude < 0x00800000u);
  const Words other = (nan & ((bits >> 16) | 0x40u)) | (tiny & (bits >> 31 << 15));
  return (nearest & ~(nan | tiny)) | other;
}

/// Pairs in BF16, as tiles hold them: lane i has even[i] in its lower and odd[i] in its upper half.
inline __attribute__((always_inline)) Words bf16_pairs(const Floats& even, const Floats& odd) {
#ifdef __AVX512BF16__
  static const struct alignas(64) Order {
    std::uint16_t at[32];
  } order = {{0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
              8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31}};
  const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
  return (Words)_mm512_permutexvar_epi16(_mm512_load_si512(order.at), halves);
#else
  return rounded_to_bf16(even) | rounded_to_bf16(odd) << 16;
#endif
}

}  // namespace
}  // namespace chunkkv::kernels
