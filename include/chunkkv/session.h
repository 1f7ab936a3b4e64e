#pragma once

#include <chunkkv/cache.h>
#include <chunkkv/error.h>
#include <chunkkv/model.h>
#include <chunkkv/plan.h>
#include <chunkkv/sequence.h>
#include <chunkkv/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

struct llama_context;

namespace chunkkv {

struct SessionState;

struct SessionOptions {
  std::int32_t n_cells = 0;  ///< cells of the cache, shared by all sequences; 0: the model's trained context
  std::int32_t n_sequences = 1;
  std::int32_t n_threads = 0;   ///< 0: all cores
  std::int32_t n_ubatch = 512;  ///< tokens of the prompt computed together
  CacheType type_k = CacheType::f16;
  CacheType type_v = CacheType::f16;
  bool flash_attention = true;  ///< without it the cache can be observed but not compressed
  bool offload_kv = true;       ///< keep the cache on the GPU
  /// Compression closes the gaps between positions: kept keys are rotated to the positions 0, 1, ...
  /// (StreamingLLM's way), so that generation can outgrow the model's trained context. All layers and heads
  /// then keep the same entries.
  bool cache_positions = false;
  /// Asked between operations on the CPU while tokens are read or decoded, on the thread that computes; true
  /// ends the call with Interrupted. Empty: nothing is asked.
  std::function<bool()> interrupted = {};
};

/// Milliseconds of all calls so far. No time is counted twice.
struct Timings {
  double prefill = 0;  ///< reading prompts, without the three parts below
  double observe = 0;  ///< observing, the answer's tokens included
  double select = 0;   ///< scoring and choosing
  double move = 0;     ///< moving rows and dropping cells
};

/// Weight matrices of one type that have the same layout and are multiplied by the same kernel.
struct WeightUse {
  std::string type;  ///< the engine's name: "q4_K"
  /// "plain" (as in the file), "interleaved" and "AMX" (the engine's own), "other" (a GPU's).
  std::string layout;
  std::string product;  ///< what multiplies them with the tokens of a prompt: "llama.cpp" or a kernel of ours
  std::int32_t n_matrices = 0;
  std::uint64_t n_bytes = 0;  ///< bytes in the file
};

/// One cache and the sequences that live in it. Not thread-safe.
class Session {
 public:
  /// UsageError when there is no model, an option is out of range, or the engine cannot rotate the model's
  /// keys correctly for cache positions. Error when the cache cannot be allocated or its kind is unsupported.
  Session(std::shared_ptr<Model> model, const SessionOptions& options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// A sequence of this session, valid as long as the session. UsageError when there is no sequence `id`.
  Sequence& sequence(SequenceId id = 0);
  const Sequence& sequence(SequenceId id = 0) const;

  const Model& model() const;
  /// The options as given, with defaults replaced by the values in use.
  const SessionOptions& options() const;
  const CacheParts& cache_parts() const;
  /// Number of layers that keep every token and are compressed.
  std::int32_t n_layers() const { return std::int32_t(cache_parts().compressed.size()); }
  /// Layouts and kernels of the model's weights, in the order of their first use.
  std::span<const WeightUse> weights() const;

  /// Reads one token for each of several sequences together, which costs little more than reading one.
  /// `on_logits` gets the logits of what follows each, [n_vocab], by index in `sequences`. Sequences that
  /// compress while decoding do so after the step that fills their buffer. UsageError for a sequence that is
  /// given twice, Error when the cache is full.
  void decode(std::span<const Token> tokens, std::span<const SequenceId> sequences,
              const std::function<void(std::size_t index, std::span<const float> logits)>& on_logits);

  /// Logits after the last token read, in whichever sequence, [n_vocab]; valid until the next call.
  /// UsageError when nothing was read in this session yet.
  std::span<const float> logits() const;

  /// Whether sequences can share cells: all layers keep every token, and positions are true.
  bool can_share() const;
  /// Returns the snapshot with keys and values in this session's types, to be restored here: a prompt can be
  /// read into an f16 cache, which is fast, and kept in a q8_0 one. Error when the model has windows, or when
  /// the snapshot is of another model or of a cache without flash attention.
  Snapshot converted(Snapshot snapshot) const;

  /// Use of the whole cache; `Sequence::use` is that of one sequence.
  CacheUse use() const;
  const Timings& timings() const;

  llama_context* handle() const;

 private:
  std::unique_ptr<SessionState> state_;
};

}  // namespace chunkkv
