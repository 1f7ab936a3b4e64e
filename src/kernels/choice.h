#pragma once

#include "kernels/product.h"

#include <cstdint>
#include <string_view>

/// Chooses the layout of a model's weights and the arithmetic of their products with the tokens of a prompt,
/// by what the processor and the engine can do. Figures: docs/performance.md.
namespace chunkkv::kernels {

struct Machine {
  // The processor's instructions; all but `avx512`, `avx512vnni` and `avx512bf16` also need kernels of ours
  // that are compiled in.
  bool avx2 = false;  ///< AVX2 and FMA
  bool avx512 = false;
  bool vnni = false;  ///< AVX-VNNI or AVX512-VNNI
  bool avx512vnni = false;
  bool avx512bf16 = false;  ///< AVX512-BF16
  bool avx512fp16 = false;
  bool amx = false;
  // The layouts that the engine can make: its buffer types "AMX" and "CPU_REPACK".
  bool engine_amx = false;
  bool engine_interleaved = false;
};

/// Sets the fields about the processor; those about the engine are false.
Machine this_processor();

enum class Layout : std::uint8_t {
  plain,        ///< as in the file
  interleaved,  ///< 8 rows together
  amx,          ///< blocks of 16 outputs, for the engine's integer products on AMX
  other,        ///< in the memory of a GPU, or in a layout that our kernels cannot read
};
std::string_view to_string(Layout layout);

/// The type and size of a matrix of weights. Types have the engine's names, such as "q4_K".
struct WeightShape {
  std::string_view type;
  std::int64_t n_out = 0;
  std::int64_t depth = 0;
};

/// The layout in which generation is fastest.
Layout best_layout(const Machine& machine, const WeightShape& weights);

/// The layout that the engine makes if it is free to choose.
Layout engine_layout(const Machine& machine, const WeightShape& weights);

/// With fewer tokens than these the engine's products are faster than any of ours, since unpacking weights
/// costs more than is saved; with fewer than many, than all but those of small whole numbers, and tiles where
/// weights are F16, BF16 or in the engine's layout for AMX.
constexpr std::int64_t kFewestTokens = 8, kManyTokens = 64;

/// The arithmetic that is fastest for the product with so many tokens, if the weights lie in `layout`.
Arithmetic best_product(const Machine& machine, const WeightShape& weights, Layout layout,
                        std::int64_t n_tokens);

/// The same for the experts of a mixture, by the rows that each gets in the mean, since the engine multiplies
/// these one by one: for small whole numbers, and for F16 and BF16, which are unpacked in little time (on
/// tiles from the fewest on). Small ones pay from 6 rows on; a text leaves a part of the experts unused, so
/// that others get more than the mean.
constexpr double kFewestRows = 4, kManyRows = 16;

/// The arithmetic that is fastest for the products with experts, each of which gets `rows` in the mean.
Arithmetic best_expert_product(const Machine& machine, const WeightShape& weights, Layout layout,
                               double rows);

}  // namespace chunkkv::kernels
