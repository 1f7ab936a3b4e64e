#include "kernels/choice.h"

#include "kernels/processor.h"

#include <algorithm>
#include <initializer_list>

namespace chunkkv::kernels {
namespace {

bool one_of(std::string_view type, std::initializer_list<std::string_view> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

bool amx_takes(const WeightShape& w) {
  if (w.n_out % 32 != 0) return false;
  if (one_of(w.type, {"q4_0", "q4_1", "q8_0"})) return w.depth % 32 == 0;
  if (one_of(w.type, {"q4_K", "q5_K", "q6_K", "iq4_xs"})) return w.depth % 256 == 0;
  return w.type == "f16" && w.depth % 16 == 0;
}

bool is_interleaved(const Machine& machine, const WeightShape& w) {
  return w.n_out % 8 == 0 &&
         (one_of(w.type, {"q4_0", "q4_K", "iq4_nl", "mxfp4"}) || (w.type == "q2_K" && machine.avx512));
}

/// Whether weights are multiplied as the whole numbers that they are: with 16 bits for sums of products.
bool are_numbers(const WeightShape& weights, Layout layout) {
  return one_of(weights.type, {"q4_0", "q4_K", "mxfp4"}) ||
         (layout == Layout::plain && one_of(weights.type, {"q4_1", "q5_0", "q5_1", "q5_K"}));
}
/// The same with 32 bits.
bool are_wide_numbers(const WeightShape& weights, Layout layout) {
  return are_numbers(weights, layout) || one_of(weights.type, {"q2_K", "iq4_nl"}) ||
         (layout == Layout::plain && one_of(weights.type, {"q3_K", "q6_K", "q8_0", "iq4_xs"}));
}

}  // namespace

Machine this_processor() {
  Machine machine;
  machine.avx512 = has_avx512();
  machine.avx512vnni = has_avx512vnni();
  machine.avx512bf16 = has_avx512bf16();
  machine.avx2 = product_kernel(Arithmetic::words) != nullptr;
  if (const ProductKernel* bytes = product_kernel(Arithmetic::bytes)) machine.vnni = bytes->widens;
  machine.avx512fp16 = product_kernel(Arithmetic::f16_avx512) != nullptr;
  machine.amx = product_kernel(Arithmetic::bf16_amx) != nullptr;
  return machine;
}

std::string_view to_string(Layout layout) {
  switch (layout) {
    case Layout::plain:
      return "plain";
    case Layout::interleaved:
      return "interleaved";
    case Layout::amx:
      return "AMX";
    case Layout::other:
      break;
  }
  return "other";
}

Layout engine_layout(const Machine& machine, const WeightShape& weights) {
  if (machine.engine_amx && amx_takes(weights)) return Layout::amx;
  if (machine.engine_interleaved && is_interleaved(machine, weights)) return Layout::interleaved;
  return Layout::plain;
}

Layout best_layout(const Machine& machine, const WeightShape& weights) {
  const Layout engines = engine_layout(machine, weights);
  // The engine copies F16 weights to its AMX memory, but multiplies them there as it does elsewhere.
  return engines == Layout::amx && weights.type == "f16" ? Layout::plain : engines;
}

namespace {

/// The arithmetic that is fastest with many tokens.
Arithmetic product_of_many(const Machine& machine, const WeightShape& weights, Layout layout) {
  // F32 weights stay with the engine: our arithmetics would round them.
  if (layout == Layout::other || weights.type == "f32" || weights.n_out % kProductOutputs != 0 ||
      weights.depth % kProductDepth != 0)
    return Arithmetic::engine;
  if (machine.amx) return Arithmetic::bf16_amx;
  if (layout == Layout::amx) return Arithmetic::engine;
  if (machine.vnni && are_wide_numbers(weights, layout)) return Arithmetic::bytes;
  if (machine.avx512fp16) return Arithmetic::f16_avx512;
  if (!machine.avx2) return Arithmetic::engine;
  // With AVX-512 the engine's products are faster than ours, except where `engine_is_slow`.
  const Arithmetic ours = are_numbers(weights, layout) ? Arithmetic::bytes : Arithmetic::words;
  const bool engine_is_slow = layout == Layout::plain
                                  ? !one_of(weights.type, {"q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq4_xs"})
                                  : weights.type == "mxfp4";
  return !machine.avx512 || engine_is_slow ? ours : Arithmetic::engine;
}

/// Weights that are unpacked in little time for other than 8-bit products.
bool are_halves(const WeightShape& weights) {
  return one_of(weights.type, {"f16", "bf16"});
}

/// The machine without its tiles unless they are wanted.
Machine with_tiles(Machine machine, bool are_wanted) {
  machine.amx = machine.amx && are_wanted;
  return machine;
}

/// From so many tokens on tiles are faster than the engine and than 8-bit products. The engine's own products
/// from its layout for AMX take 32 tokens at a time.
std::int64_t fewest_for_tiles(const WeightShape& weights, Layout layout) {
  if (are_halves(weights)) return 24;
  return layout == Layout::amx && weights.type != "q5_K" ? 33 : kManyTokens;
}

/// With few tokens only small whole numbers are unpacked fast enough, unless `other` weights are, too.
Arithmetic for_few(Arithmetic product, bool other) {
  return other || product == Arithmetic::bytes ? product : Arithmetic::engine;
}

}  // namespace

Arithmetic best_product(const Machine& machine, const WeightShape& weights, Layout layout,
                        std::int64_t n_tokens) {
  if (n_tokens < kFewestTokens) return Arithmetic::engine;
  const bool tiles = machine.amx && n_tokens >= fewest_for_tiles(weights, layout);
  return for_few(product_of_many(with_tiles(machine, tiles), weights, layout),
                 tiles || n_tokens >= kManyTokens);
}

Arithmetic best_expert_product(const Machine& machine, const WeightShape& weights, Layout layout,
                               double rows) {
  if (rows < kFewestRows) return Arithmetic::engine;
  const bool are_many = rows >= double(kManyTokens);
  const bool tiles = machine.amx && (are_many || are_halves(weights));
  Arithmetic product = product_of_many(with_tiles(machine, tiles), weights, layout);
  // With 16 bits for sums these are as fast in 8 bits as in 16, and unpacked in less time.
  if (product == Arithmetic::words && layout == Layout::plain &&
      one_of(weights.type, {"q2_K", "q3_K", "q6_K"}))
    product = Arithmetic::bytes;
  return for_few(product, tiles || are_many || (rows >= kManyRows && are_halves(weights)));
}

}  // namespace chunkkv::kernels
