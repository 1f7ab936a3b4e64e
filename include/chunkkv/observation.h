#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace chunkkv {

/// Which queries' attention a method reads.
enum class Queries : std::uint8_t {
  none,    ///< no attention at all
  window,  ///< the last `ObservationRequest::window` queries of the prompt
  all,     ///< every query of the prompt, or every `stride`-th
};

/// What attention rows are reduced to before they leave the device.
enum class AttentionKind : std::uint8_t {
  /// Column sums of softmax(q k / sqrt d + mask) over the observed queries, one row per query head.
  softmax,
  /// R-KV: logits are first maximised over the query heads of a KV head, and the softmax runs only
  /// over the entries before the window; column sums, one row per KV head. Window entries hold 0.
  group_max_past,
};

/// Statistics that a method needs of each layer that scores. Only what is asked for is computed.
struct ObservationRequest {
  Queries queries = Queries::none;
  std::int32_t window = 0;  ///< number of last queries, with Queries::window
  std::int32_t stride = 1;  ///< with Queries::all: only queries 0, stride, 2 stride, ...
  /// Number of first tokens of the answer whose queries are observed as well: they are generated from the
  /// whole cache, and the choice is made after them.
  std::int32_t after = 0;
  AttentionKind attention = AttentionKind::softmax;
  bool keys = false;         ///< the keys themselves, for methods that need more than the statistics below
  bool values = false;       ///< the values themselves; needs flash attention
  bool value_norms = false;  ///< needs flash attention
  bool key_norms = false;
  bool key_similarity = false;                     ///< cosine of each key with the mean normalised key
  std::optional<float> redundancy_threshold = {};  ///< compute R-KV's redundancy with this threshold

  bool operator==(const ObservationRequest&) const = default;
};

/// Keys or values of one layer as F32 numbers on the host. They are read in parts, so that no copy of a layer
/// need exist. Valid while the method scores. Not thread-safe.
class Rows {
 public:
  virtual ~Rows() = default;
  virtual std::int32_t width() const = 0;  ///< numbers of an entry in one KV head
  /// Reads entries first .. first + count - 1 into `out` as [count][n_head_kv][width]; `out` has
  /// exactly that size.
  virtual void read(std::int32_t first, std::int32_t count, std::span<float> out) const = 0;
};

/// What was observed in one layer. Arrays that were not asked for are empty. Keys are post-RoPE.
struct LayerObservation {
  std::int32_t layer = 0;
  std::int32_t n_entries = 0;
  std::int32_t n_head = 0;  ///< query heads
  /// KV heads; query heads g*G .. g*G+G-1 share KV head g, G = n_head / n_head_kv.
  std::int32_t n_head_kv = 0;
  std::int32_t n_queries = 0;  ///< how many queries `attention` sums over

  std::vector<float> attention;  ///< [n_head][n_entries], or [n_head_kv][n_entries] with group_max_past
  std::shared_ptr<const Rows> keys, values;  ///< null unless asked for
  std::vector<float> value_norms;            ///< [n_head_kv][n_entries], L2
  std::vector<float> key_norms;              ///< [n_head_kv][n_entries], L2
  std::vector<float> key_similarity;         ///< [n_head_kv][n_entries], cosine with mean_j(k_j / |k_j|)
  /// [n_head_kv][n_entries]: column means of the keys' cosine-similarity matrix, in which the diagonal is 0,
  /// and so is in each row i the last entry j with similarity > threshold (entry 0 when there is none, as in
  /// R-KV's reference). The softmax over entries is not applied yet.
  std::vector<float> redundancy;
};

}  // namespace chunkkv
