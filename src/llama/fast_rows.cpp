#include "llama/fast_rows.h"

#include "kernels/attention.h"
#include "kernels/choice.h"

#include <algorithm>
#include <cmath>

namespace chunkkv::engine {
namespace {

bool is_plain(const ggml_tensor* t) {
  return t->type == GGML_TYPE_F32 && t->nb[0] == sizeof(float) && t->ne[3] == 1 && in_host_memory(t);
}

float* row_at(const ggml_tensor* t, std::int64_t i1, std::int64_t i2) {
  char* row = static_cast<char*>(t->data) + t->nb[1] * std::size_t(i1) + t->nb[2] * std::size_t(i2);
  return static_cast<float*>(static_cast<void*>(row));
}

// Where ggml_rope_ext puts the parameters of a rotation.
constexpr int kNRotated = 1, kMode = 2, kFrequencyBase = 5, kFrequencyScale = 6, kExtension = 7,
              kMagnitude = 8, kOffset = 15;

/// Whether a norm is of whole tokens, and of so many that products of ours take them. The norms of heads have
/// shorter rows; in a batch of one token their rows are heads.
bool is_rows_of_tokens(const ggml_tensor* t) {
  return t->ne[0] > kernels::kMostAttentionDepth && t->ne[1] >= kernels::kFewestTokens && t->ne[2] == 1;
}

bool is_plain_rotation(const ggml_tensor* node) {
  const ggml_tensor *x = node->src[0], *positions = node->src[1], *factors = node->src[2];
  const std::int32_t mode = node->op_params[kMode], n = node->op_params[kNRotated];
  return is_plain(node) && is_plain(x) && node->ne[2] >= kernels::kFewestTokens &&
         (mode == GGML_ROPE_TYPE_NORMAL || mode == GGML_ROPE_TYPE_NEOX) && op_float(node, kExtension) == 0 &&
         node->op_params[kOffset] == 0 && n > 0 && n % 2 == 0 && n <= node->ne[0] &&
         positions->type == GGML_TYPE_I32 && positions->op == GGML_OP_NONE &&
         positions->view_src == nullptr && positions->ne[0] == node->ne[2] && in_host_memory(positions) &&
         (factors == nullptr || (factors->type == GGML_TYPE_F32 && factors->op == GGML_OP_NONE &&
                                 factors->ne[0] >= n / 2 && in_host_memory(factors)));
}

}  // namespace

std::int64_t FastRows::Turns::n_rotated() const {
  return parameters[kNRotated];
}
kernels::RotationPairs FastRows::Turns::pairs() const {
  return parameters[kMode] == GGML_ROPE_TYPE_NEOX ? kernels::RotationPairs::halves
                                                  : kernels::RotationPairs::neighbours;
}

bool FastRows::available() {
  return !kernels::token_rows_kernels().empty();
}

FastRows::FastRows() : kernel_(kernels::token_rows_kernels().front()) {}

FastRows::Call& FastRows::new_call() {
  if (n_calls_ == calls_.size()) calls_.emplace_back();
  Call& call = calls_[n_calls_++];
  call = Call{};
  call.owner = this;
  return call;
}

void FastRows::take(ggml_tensor* node) {
  if (node->op == GGML_OP_MUL) take_norm(node);
  if (node->op == GGML_OP_ROPE && is_plain_rotation(node)) take_rotation(node);
  if (node->op == GGML_OP_CUSTOM)  // the graph is computed again: for other positions
    for (std::size_t i = 0; i < n_calls_; ++i)
      if (calls_[i].node.node() == node && calls_[i].turns != nullptr) update(*calls_[i].turns, node);
  last_ = node;
}

void FastRows::take_norm(ggml_tensor* product) {
  ggml_tensor *norm = product->src[0], *weights = product->src[1];
  if (norm->op != GGML_OP_RMS_NORM || norm != last_) return;
  const ggml_tensor* from = norm->src[0];
  // A product in the norm's place tells that nothing else reads the norm, so that it need not exist.
  if (product->data != norm->data || !is_rows_of_tokens(product) || !is_plain(product) || !is_plain(from) ||
      !is_plain(weights) || ggml_nelements(weights) != product->ne[0] || !ggml_are_same_shape(from, product))
    return;
  Call& call = new_call();
  call.norm = TakenNode(norm, Operation{});  // does nothing
  call.node = TakenNode(product, Operation::custom(&compute_norm, &call));
}

void FastRows::take_rotation(ggml_tensor* node) {
  const auto parameters = Operation::of(node).parameters;
  const void* factors = node->src[2] == nullptr ? nullptr : node->src[2]->data;
  auto turns = std::find_if(turns_.begin(), turns_.end(), [&](const Turns& t) {
    return t.parameters == parameters && t.factors == factors;
  });
  if (turns == turns_.end()) {
    turns = turns_.emplace(turns_.end());
    turns->parameters = parameters;
    turns->factors = factors;
  }
  update(*turns, node);
  Call& call = new_call();
  call.turns = &*turns;
  call.node = TakenNode(node, Operation::custom(&compute_rotation, &call));
}

/// Computes the turns for the positions of the rotation `node`, unless they are known.
void FastRows::update(Turns& turns, const ggml_tensor* node) {
  const auto* positions = static_cast<const std::int32_t*>(node->src[1]->data);
  const auto n_positions = std::size_t(node->ne[2]);
  if (std::equal(positions, positions + n_positions, turns.positions.begin(), turns.positions.end())) return;
  turns.positions.assign(positions, positions + n_positions);
  const auto n = std::size_t(turns.n_rotated());
  turns.cosines.resize(n_positions * n);
  turns.sines.resize(n_positions * n);
  // The engine's own steps, so that angles are rounded as there.
  const auto* factors = static_cast<const float*>(turns.factors);
  const std::int32_t* parameters = turns.parameters.data();
  const float ratio = std::pow(op_float(parameters, kFrequencyBase), -2.0f / float(n));
  const float scale = op_float(parameters, kFrequencyScale), size = op_float(parameters, kMagnitude);
  for (std::size_t i = 0; i < n_positions; ++i) {
    float angle = float(positions[i]);
    for (std::size_t pair = 0; pair < n / 2; ++pair, angle *= ratio) {
      const float turned = scale * (factors == nullptr ? angle : angle / factors[pair]);
      kernels::set_turn(std::int64_t(n), turns.pairs(), std::int64_t(pair), std::cos(turned) * size,
                        std::sin(turned) * size, turns.cosines.data() + i * n, turns.sines.data() + i * n);
    }
  }
}

void FastRows::restore() {
  for (std::size_t i = 0; i < n_calls_; ++i) {
    calls_[i].node.put_back();
    calls_[i].norm.put_back();
  }
  n_calls_ = 0;
  last_ = nullptr;
}

void FastRows::compute_norm(ggml_tensor* node, int thread, int n_threads, void* data) {
  const Call& call = *static_cast<const Call*>(data);
  const ggml_tensor* from = node->src[0]->src[0];
  const auto* weights = static_cast<const float*>(node->src[1]->data);
  const float epsilon = op_float(call.norm.engines().parameters.data(), 0);
  const std::int64_t n_tokens = node->ne[1];
  for (std::int64_t t = n_tokens * thread / n_threads; t < n_tokens * (thread + 1) / n_threads; ++t)
    call.owner->kernel_.rms_norm(row_at(from, t, 0), weights, node->ne[0], epsilon, row_at(node, t, 0));
}

void FastRows::compute_rotation(ggml_tensor* node, int thread, int n_threads, void* data) {
  const Call& call = *static_cast<const Call*>(data);
  const Turns& turns = *call.turns;
  const std::int64_t n = turns.n_rotated(), n_tokens = node->ne[2];
  for (std::int64_t t = n_tokens * thread / n_threads; t < n_tokens * (thread + 1) / n_threads; ++t)
    for (std::int64_t head = 0; head < node->ne[1]; ++head) {
      const float* from = row_at(node->src[0], head, t);
      float* to = row_at(node, head, t);
      call.owner->kernel_.rotate(from, n, turns.pairs(), turns.cosines.data() + t * n,
                                 turns.sines.data() + t * n, to);
      if (from != to) std::copy(from + n, from + node->ne[0], to + n);
    }
}

}  // namespace chunkkv::engine
