#pragma once

#include "kernels/bf16.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

// The tiles of AMX-BF16, and the same in plain C++. A kernel is a template over one of the two, so that its
// source is tested on every machine.

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
    const int depth = s.config.row_bytes[A] / 4;
    for (int m = 0; m < s.config.rows[C]; ++m) {
      Floats even{}, odd{};
      for (int k = 0; k < depth; ++k) {
        const Words a = Words{} + s.at(A)[m][k], b = row(s.at(B)[k]);
        even = add_product(a << 16, b << 16, even);
        odd = add_product(a, b, odd);
      }
      const Floats sum = flushed(flushed((Floats)row(s.at(C)[m])) + flushed(even + odd));
      std::memcpy(s.at(C)[m], &sum, s.config.row_bytes[C]);
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
  static Words row(const std::uint32_t (&numbers)[16]) {
    Words words;
    std::memcpy(&words, numbers, sizeof words);
    return words;
  }
  static State& state() {
    static thread_local State state;
    return state;
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

}  // namespace
}  // namespace chunkkv::kernels
