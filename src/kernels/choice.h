#pragma once

#include "kernels/product.h"

#include <cstdint>
#include <string_view>

/// Where the weights of a model lie and what multiplies them with the tokens of a prompt, by what is known of
/// the processor and the engine. Figures: docs/performance.md.
namespace chunkkv::kernels {

struct Machine {
  // The processor, as far as there are kernels of ours for it.
  bool avx2 = false;  ///< and FMA
  bool avx512 = false;
  bool avx512fp16 = false;
  bool amx = false;
  // Layouts of its own that the engine makes: buffer types "AMX" and "CPU_REPACK".
  bool engine_amx = false;
  bool engine_interleaved = false;
};

/// The processor's part of it.
Machine this_processor();

enum class Layout : std::uint8_t {
  plain,        ///< as in the file
  interleaved,  ///< 8 rows together
  amx,          ///< blocks of 16 outputs, for the engine's integer products on AMX
  other,        ///< in the memory of a GPU, or another that ours do not read
};
std::string_view to_string(Layout layout);

/// A matrix of weights; types by the engine's names, "q4_K".
struct WeightShape {
  std::string_view type;
  std::int64_t n_out = 0;
  std::int64_t depth = 0;
};

/// The layout in which generation is fastest.
Layout best_layout(const Machine& machine, const WeightShape& weights);

/// The layout that the engine makes if it is let.
Layout engine_layout(const Machine& machine, const WeightShape& weights);

/// What computes the product of many tokens fastest, with weights that lie in `layout`.
Arithmetic best_product(const Machine& machine, const WeightShape& weights, Layout layout);

}  // namespace chunkkv::kernels
