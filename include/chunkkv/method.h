#pragma once

#include <chunkkv/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv {

// ---- what a method observes -------------------------------------------------------------------

/// Which queries' attention a method reads.
enum class Queries : std::uint8_t {
  none,    ///< no attention at all
  window,  ///< the last `ObservationRequest::window` queries of the prompt
  all,     ///< every query of the prompt
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
  AttentionKind attention = AttentionKind::softmax;
  bool value_norms = false;
  bool key_norms = false;
  bool key_similarity = false;                ///< cosine of each key with the mean normalised key
  std::optional<float> redundancy_threshold;  ///< R-KV's redundancy with this threshold

  bool operator==(const ObservationRequest&) const = default;
};

/// What was observed in one layer. Arrays that were not asked for are empty. Keys are post-RoPE.
struct LayerObservation {
  std::int32_t layer = 0;
  std::int32_t n_entries = 0;
  std::int32_t n_head = 0;  ///< query heads
  std::int32_t n_head_kv =
      0;  ///< KV heads; query heads g*G .. g*G+G-1 share KV head g, G = n_head / n_head_kv
  std::int32_t n_queries = 0;  ///< how many queries `attention` sums over

  std::vector<float> attention;       ///< [n_head][n_entries], or [n_head_kv][n_entries] with group_max_past
  std::vector<float> value_norms;     ///< [n_head_kv][n_entries], L2
  std::vector<float> key_norms;       ///< [n_head_kv][n_entries], L2
  std::vector<float> key_similarity;  ///< [n_head_kv][n_entries], cosine with mean_j(k_j / |k_j|)
  /// [n_head_kv][n_entries]: column means of the cosine-similarity matrix of keys with zero diagonal,
  /// and in each row i the last entry j with similarity > threshold set to zero (entry 0 when there is
  /// none, as R-KV's reference does). Before the softmax over entries.
  std::vector<float> redundancy;
};

// ---- how scores become kept sets --------------------------------------------------------------

enum class ChunkRule : std::uint8_t {
  exact,    ///< exactly the budget; the last chunk taken is cut to its first tokens
  paper,    ///< floor((budget - protected) / chunk) chunks of the unprotected part (arXiv 2502.00299, Alg. 1)
  kvpress,  ///< chunk grid over all entries, max(1, floor(n_chunks * share)) chunks, protected entries
            ///< rank first by holding the maximum score + 1 (NVIDIA kvpress' ChunkKVPress)
};

enum class ChunkScore : std::uint8_t { sum, mean };

/// How the shared selection turns one head's scores into a kept set.
struct SelectionRule {
  std::int32_t first = 0;  ///< entries at the beginning that are always kept (attention sinks)
  std::int32_t last = 0;   ///< entries at the end that are always kept (observation window, recent tokens)
  std::int32_t chunk = 1;  ///< unit of selection in entries
  ChunkScore chunk_score = ChunkScore::sum;
  ChunkRule rule = ChunkRule::exact;
};

// ---- methods ----------------------------------------------------------------------------------

/// What a selection is to achieve, given to methods whose rule depends on it.
struct Target {
  std::int32_t n_entries = 0;
  std::int32_t budget = 0;  ///< entries to keep, 1 .. n_entries
  double share = 1.0;       ///< the share asked for; budget / n_entries where a number was asked for
};

/// A cache-compression method: what it must observe, and the score. Immutable and thread-safe.
class Method {
 public:
  virtual ~Method() = default;

  virtual ObservationRequest request() const { return {}; }
  /// Scores of one layer, [1 or n_head_kv][n_entries]. Must be finite.
  virtual Scores score(const LayerObservation& observation) const = 0;
  virtual SelectionRule selection(const Target& target) const = 0;
  /// Layer l scores only if l % reuse() == 0, else it takes the kept set of layer l - l % reuse().
  virtual std::int32_t reuse() const { return 1; }
  /// True for the method that never drops anything, whatever the budget.
  virtual bool keeps_all() const { return false; }

  /// Canonical spec string: the name, then every parameter that differs from its default.
  const std::string& spec() const { return spec_; }

 private:
  friend std::shared_ptr<const Method> make_method(std::string_view spec);
  std::string spec_;
};

// ---- parameters, registry, spec strings -------------------------------------------------------

struct ParameterInfo {
  enum class Kind : std::uint8_t { integer, real, choice };
  std::string name;
  Kind kind = Kind::integer;
  std::string default_value;
  double min = 0, max = 0;           ///< inclusive; integer and real
  std::vector<std::string> choices;  ///< choice
  std::string help;                  ///< one line
};

/// Parsed parameters; every declared name is present and in range.
class Parameters {
 public:
  std::int32_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  const std::string& choice(std::string_view name) const;
  bool flag(std::string_view name) const { return integer(name) != 0; }
  void set(std::string name, std::string value) { values_[std::move(name)] = std::move(value); }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

struct MethodInfo {
  std::string name;
  std::string summary;  ///< one line
  std::string paper;    ///< title and arXiv number, or the source of the formula
  std::vector<ParameterInfo> parameters;
  std::function<std::shared_ptr<Method>(const Parameters&)> make;
};

/// All methods, in the order in which they are listed to users.
std::span<const MethodInfo> methods();

/// "name" or "name:key=value,key=value". UsageError names what is allowed. Thread-safe.
std::shared_ptr<const Method> make_method(std::string_view spec);

// ---- shared selection -------------------------------------------------------------------------

/// The kept set of one head's scores: ascending, unique, protected entries kept, ties to the lower
/// index. Exactly `target.budget` entries with ChunkRule::exact. Throws UsageError when the protected
/// entries do not fit into the budget, Error when a score is not finite. O(n).
std::vector<std::int32_t> select(std::span<const float> scores, const Target& target,
                                 const SelectionRule& rule);

/// Kept sets of all heads of one layer. `scores.n_heads` lists.
LayerKept select_layer(std::int32_t layer, const Scores& scores, const Target& target,
                       const SelectionRule& rule);

}  // namespace chunkkv
