#include "kernels/attention.h"

#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace chunkkv::kernels {
namespace {

constexpr std::uint16_t kMinusInfinity = 0xfc00;  // in F16

/// Sets bit i of `word` if number i of 32 is 0; returns false if one is neither 0 nor minus infinity.
bool read_group(const char* from, std::uint32_t& word) {
#ifdef __SSE2__
  const auto same = [&](std::int16_t value) {
    __m128i equal[4];
    for (int i = 0; i < 4; ++i)
      equal[i] =
          _mm_cmpeq_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + i), _mm_set1_epi16(value));
    const auto low = std::uint32_t(_mm_movemask_epi8(_mm_packs_epi16(equal[0], equal[1])));
    const auto high = std::uint32_t(_mm_movemask_epi8(_mm_packs_epi16(equal[2], equal[3])));
    return low | high << 16;
  };
  word = same(0);
  return (word | same(std::int16_t(kMinusInfinity))) == 0xffffffffu;
#else
  std::uint16_t values[32];
  std::memcpy(values, from, sizeof values);
  word = 0;
  for (int i = 0; i < 32; ++i) {
    if (values[i] == 0)
      word |= 1u << i;
    else if (values[i] != kMinusInfinity)
      return false;
  }
  return true;
#endif
}

}  // namespace

bool VisibleCells::read(const char* mask, std::int64_t queries, std::int64_t cells, std::size_t row_bytes) {
  n_queries = queries;
  n_cells = cells;
  words.resize(std::size_t(n_groups() * queries));
  seen_by_any.assign(std::size_t(n_groups()), 0);
  for (std::int64_t q = 0; q < queries; ++q)
    for (std::int64_t g = 0; g < n_groups(); ++g) {
      std::uint16_t last[32];
      const std::int64_t n = cells - 32 * g;
      const char* from = mask == nullptr ? nullptr : mask + row_bytes * std::size_t(q) + 64 * g;
      if (n < 32 || from == nullptr) {
        for (std::uint16_t& value : last) value = kMinusInfinity;
        for (std::int64_t i = 0; i < n && i < 32; ++i) last[i] = 0;
        if (from != nullptr) std::memcpy(last, from, std::size_t(n) * 2);
        from = reinterpret_cast<const char*>(last);
      }
      std::uint32_t word = 0;
      if (!read_group(from, word)) return false;
      words[std::size_t(g * queries + q)] = word;
      seen_by_any[std::size_t(g)] |= word;
    }
  return true;
}

}  // namespace chunkkv::kernels
