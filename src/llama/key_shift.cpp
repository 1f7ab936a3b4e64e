#include "llama/key_shift.h"

#include "llama/cache_rows.h"
#include "llama/context.h"
#include "llama/handles.h"
#include "llama/support.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace chunkkv::engine {
namespace {

constexpr const char* kWhat = "cache positions need keys that the engine can turn";
constexpr const char* kHowTo = "use true positions";

std::int32_t number(const llama_model* model, const std::string& key) {
  const std::string text = metadata(model, key);
  std::int32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::int32_t head_size(const Model& model) {
  const std::int32_t key_length = number(model.handle(), model.info().architecture + ".attention.key_length");
  return key_length > 0 ? key_length : llama_model_n_embd(model.handle()) / std::max(model.info().n_head, 1);
}

/// Whether RoPE leaves some dimensions of a head as they are.
bool turns_part_of_head(const Model& model) {
  const std::int32_t turned = number(model.handle(), model.info().architecture + ".rope.dimension_count");
  return turned > 0 && turned != head_size(model);
}

/// The keys in `cell` of every layer, [n_head_kv * head_dim].
std::vector<std::vector<float>> keys_by_layer(const Context& context, const std::vector<CacheLayer>& layers,
                                              std::int32_t cell) {
  llama_synchronize(context.handle());
  std::vector<std::vector<float>> rows;
  for (const CacheLayer& layer : layers) rows.push_back(row_of(layer.k, cell));
  return rows;
}

double norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double(value) * value;
  return std::sqrt(sum);
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return std::sqrt(sum);
}

/// Relative errors that rounding may cause in keys that are stored twice: `key` in a single key, `length` in
/// the mean length of all keys.
struct Rounding {
  double key, length;
};

Rounding rounding(ggml_type type) {
  if (!ggml_is_quantized(type)) return {0.01, 0.003};
  return {type == GGML_TYPE_Q8_0 ? 0.05 : 0.4, 0.03};
}

}  // namespace

void require_shiftable_keys(const Model& model, CacheType type) {
  if (type == CacheType::bf16)
    throw UsageError(
        fmt::format("{}, which it cannot do with bf16 ones; use another type (-ctk), or {}", kWhat, kHowTo));
  const bool is_quantized = type != CacheType::f32 && type != CacheType::f16;
  // The engine turns quantised keys by way of its Walsh-Hadamard rotation, and fails where it has none: in
  // heads that are no multiple of 64.
  if (is_quantized && head_size(model) % 64 != 0)
    throw UsageError(
        fmt::format("{}, which it cannot do with {} ones in heads of {} values; use f16 (-ctk), or {}", kWhat,
                    to_string(type), head_size(model), kHowTo));
  if (is_quantized && turns_part_of_head(model))
    throw UsageError(fmt::format(
        "{}, which it cannot do with {} ones where RoPE turns a part of each head; use f16 (-ctk), or {}",
        kWhat, to_string(type), kHowTo));
}

void require_exact_shifts(Context& context, const std::vector<CacheLayer>& layers) {
  if (!context.can_shift())
    throw UsageError(fmt::format("{}, which it cannot do in this model; {}", kWhat, kHowTo));
  constexpr Token any = 0;
  constexpr Position far = 100;
  constexpr SequenceId sequence = 0;
  const auto read = [&](Position position) {
    const Segment one{.sequence = sequence, .first = position, .tokens = {&any, 1}};
    return context.decode({&one, 1}).front();
  };
  const auto wanted = keys_by_layer(context, layers, read(far));
  context.remove(sequence, 0, -1);
  const std::int32_t cell = read(0);
  context.shift(sequence, 0, 1, far);
  read(far + 1);  // the engine turns keys at the beginning of a decode
  const auto turned = keys_by_layer(context, layers, cell);
  context.clear();

  double length = 0, wanted_length = 0, worst = 0;
  std::size_t worst_layer = 0;
  for (std::size_t layer = 0; layer < wanted.size(); ++layer) {
    const std::vector<float>& key = wanted[layer];
    length += norm(turned[layer]);
    wanted_length += norm(key);
    const double error = distance(turned[layer], key) / std::max(norm(key), 1e-30);
    if (error > worst) {
      worst = error;
      worst_layer = layer;
    }
  }
  const Rounding allowed = rounding(layers.front().k->type);
  const double scale = wanted_length > 0 ? length / wanted_length : 1;
  if (std::abs(scale - 1) > allowed.length)
    throw UsageError(
        fmt::format("{}, but the RoPE of this model scales keys by {:.3f} as well, and would do so with "
                    "each compression again (YaRN, LongRoPE); {}",
                    kWhat, scale, kHowTo));
  if (worst > allowed.key)
    throw UsageError(
        fmt::format("{}, but keys of layer {} of this model do not turn with their position as RoPE "
                    "does; {}",
                    kWhat, worst_layer, kHowTo));
}

}  // namespace chunkkv::engine
