#pragma once

#include <cstdint>
#include <span>

struct ggml_tensor;

namespace chunkkv::kernels {
struct AttentionTask;
}

namespace chunkkv::engine {

/// One layer's attention over one micro-batch, shown to an observer when its queries and keys are computed.
/// `first_row` and `cells` tell which tokens of the micro-batch it is shown for.
struct Attention {
  std::int32_t layer = 0;
  const ggml_tensor* q = nullptr;     ///< after RoPE, [head_dim, n_tokens, n_head], strided
  const ggml_tensor* mask = nullptr;  ///< [n_kv, n_tokens], -inf where a query may not see a cell
  const ggml_tensor* sinks = nullptr;
  float scale = 1;
  float max_bias = 0;
  float softcap = 0;
  std::int64_t n_kv = 0;  ///< cells that attention reads
  /// The task of our own kernel; null: the engine computed the attention.
  const kernels::AttentionTask* kernel_task = nullptr;
  /// [n_head][n_kv]: the attention that each cell receives from all queries of the micro-batch, if our kernel
  /// added it up (Observer::adds_up_all); else empty. It lives until the observer returns.
  std::span<const float> received = {};
  std::int32_t reader = 0;  ///< number among the layers that read these rows
  bool is_last = true;      ///< no other layer reads these rows after it in this micro-batch

  std::int32_t first_row = 0;  ///< row in `q` and `mask` of the first token that it is shown for
  std::span<const std::int32_t> cells = {};  ///< cells of the tokens that it is shown for
};

/// The `count` queries first, first + stride, ...
struct QueryRange {
  std::int32_t first = 0;
  std::int32_t count = 0;
  std::int32_t stride = 1;
};

/// Sees what tokens attend to while they are computed.
class Observer {
 public:
  virtual ~Observer() = default;
  /// Whether it wants to see `layer` in the decode that begins.
  virtual bool watches(std::int32_t layer) const = 0;
  /// Whether it adds up the attention of all tokens of the decode in `layer`.
  virtual bool adds_up_all(std::int32_t layer) const = 0;
  virtual void see(const Attention& attention) = 0;
};

}  // namespace chunkkv::engine
