#pragma once

#include <chunkkv/error.h>
#include <chunkkv/model.h>
#include <chunkkv/plan.h>
#include <chunkkv/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct llama_context;

namespace chunkkv {

enum class CacheType : std::uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl };
/// "f16" ...; UsageError lists the names.
CacheType parse_cache_type(std::string_view name);
std::string_view to_string(CacheType type);

struct SessionOptions {
  std::int32_t n_cells = 0;  ///< cells of the cache, shared by all sequences; 0: the model's trained context
  std::int32_t n_sequences = 1;
  std::int32_t n_threads = 0;   ///< 0: all cores
  std::int32_t n_ubatch = 512;  ///< tokens of the prompt computed together; a window must fit into it
  CacheType type_k = CacheType::f16;
  CacheType type_v = CacheType::f16;
  bool flash_attention = true;  ///< without it the cache can be observed but not compressed
  bool offload_kv = true;       ///< keep the cache on the GPU
  /// Compression closes the gaps: kept keys are rotated to the positions 0, 1, ... (StreamingLLM's way), so
  /// that generation can outgrow the model's trained context. All layers and heads then keep the same
  /// entries.
  bool cache_positions = false;
};

/// What a model's layers keep of the tokens that it reads.
struct CacheParts {
  /// The model's numbers of the layers that keep every token: these are compressed. Everywhere else such a
  /// layer's number is its place in this list.
  std::vector<std::int32_t> compressed;
  std::vector<std::int32_t> n_head_kv;  ///< of each of them
  std::int32_t n_window = 0;            ///< layers that keep a window, which stays as it is
  std::int32_t window = 0;              ///< tokens of it
  std::int32_t window_cells = 0;        ///< of those layers, for all sequences
  std::int32_t n_state = 0;             ///< layers that have a state, with or without rows of every token
  std::int32_t n_shared = 0;            ///< layers that read another layer's rows
  bool has_values = true;               ///< false: values are a part of the keys (latent attention)
  std::uint64_t fixed_bytes = 0;        ///< of windows and states, of all sequences
  bool is_whole() const { return n_window == 0 && n_state == 0 && n_shared == 0; }
};
/// "6 of 36 layers keep every token and are compressed; 30 keep a window of 1,024 tokens"; `n_layer`: of the
/// model. Empty when all layers keep every token for themselves.
std::string describe(const CacheParts& parts, std::int32_t n_layer);

/// What becomes of the cells that a layer has more than it keeps: the engine's cache has equally many cells
/// in every layer.
enum class Surplus : std::uint8_t {
  fill,  ///< the layer keeps its newest other entries as well (`level`)
  hide,  ///< the layer's attention does not see them; saves no memory, for evaluation
};

/// What a plan chose.
struct Selection {
  std::vector<LayerKept> layers;  ///< every layer, ascending
  std::vector<Scores>
      scores;  ///< with Plan::keep_scores, one per layer; empty where a layer reused another's
  std::int32_t n_entries = 0;  ///< entries before
  std::int32_t n_kept = 0;     ///< entries after, in the layer that keeps most
  /// First tokens of the answer that chose: as many entries follow the `n_entries` and are kept.
  std::int32_t after = 0;
  Surplus surplus = Surplus::fill;
};

/// Which queries choose when a prompt is read in pieces.
enum class ObserverKind : std::uint8_t {
  question,  ///< the question's: it is read ahead after a piece, and its cells are dropped again
  window,    ///< the last ones of the piece
  both,      ///< their attention together
};

/// How a prompt longer than the cache is read.
struct Reading {
  Plan plan;
  ObserverKind observer = ObserverKind::question;
  std::int32_t n_question =
      0;  ///< the last tokens of the prompt that ask about it; 0: none, observe the window
  bool keep_question = true;  ///< false: it only observes; nothing of it is in the cache at the end
  std::int32_t n_cells = 0;   ///< cells that the sequence may use; 0: those that are its own or free
  std::int32_t piece = 0;     ///< tokens read between looks at the room left; 0: SessionOptions::n_ubatch
};

/// A sequence of a cache in host memory: what it holds, byte for byte, and what is known of it. It may be
/// restored as often as wanted, into any session over the same model with the same cache types.
struct Snapshot {
  std::vector<Token> tokens;  ///< every token that was read, by position, those that were dropped included
  std::int32_t n_entries = 0;
  /// True positions of the first entries, [layer][1 or n_head_kv][entry]: as many as the last compression
  /// kept. The others follow each other up to the newest token. Empty when nothing was dropped.
  std::vector<std::vector<std::vector<Position>>> positions;
  std::vector<std::int32_t> order;       ///< [entry]: rank of its cell among the sequence's cells
  std::vector<Position> cell_positions;  ///< [entry]: the engine's position of its cell
  std::vector<std::byte> state;          ///< the engine's own format: keys and values
  /// Sums of all queries' attention so far, or of every stride-th, by layer + 65536 (stride - 1),
  /// [n_head][n_entries]; empty where no plan reads them.
  std::map<std::int32_t, std::vector<float>> attention;
};

/// Milliseconds of the calls so far; each call adds to its own.
struct Timings {
  double prefill = 0;  ///< the whole of prefill, observe and select included, those of the answer as well
  double observe = 0;
  double select = 0;
  double move = 0;
};

/// Matrices of weights of one type that lie alike and are multiplied alike.
struct WeightUse {
  std::string type;  ///< the engine's name: "q4_K"
  std::string
      layout;  ///< "plain" (as in the file), "interleaved" and "AMX" (the engine's own), "other" (a GPU's)
  std::string product;  ///< what multiplies them with the tokens of a prompt: "llama.cpp" or a kernel of ours
  std::int32_t n_matrices = 0;
  std::uint64_t n_bytes = 0;  ///< in the file
};

/// State of the cache. Bytes are keys and values of the layers that keep every token, but for `bytes_fixed`.
struct CacheUse {
  std::int32_t cells_used = 0;    ///< of one sequence, or of all
  std::int32_t cells_shared = 0;  ///< of these, of one sequence: held by others, too
  std::int32_t cells_allocated = 0;
  std::uint64_t bytes_used = 0;
  std::uint64_t bytes_allocated = 0;
  std::uint64_t bytes_fixed = 0;  ///< of windows and states: allocated for all sequences, whatever they hold
};

/// A place in a sequence to go back to. Windows and states forget what they held there, so that a model with
/// such layers needs a copy of them; with others this is nothing but a length.
struct Checkpoint {
  std::int32_t n_entries = 0;
  Position next = 0;             ///< position of the token that followed
  std::vector<std::byte> fixed;  ///< the engine's own format: windows and states
};

/// How far reading is.
struct ReadState {
  std::int64_t done = 0, total = 0;  ///< tokens
  std::int32_t n_entries = 0;        ///< cells that the sequence holds
  std::int32_t n_compressions = 0;   ///< so far
};
/// Called after every micro-batch; returning false stops with Interrupted.
using Progress = std::function<bool(const ReadState&)>;

/// The attention of a few queries in one layer, [n_head][n_queries][n_entries]: of all entries up to the
/// last token of the evaluated ones; those that a query cannot see have 0.
struct AttentionRows {
  std::int32_t layer = 0;
  std::int32_t n_head = 0;
  std::int32_t n_head_kv = 0;
  std::int32_t first_query = 0;  ///< index in the evaluated tokens
  std::int32_t n_queries = 0;
  std::int32_t n_entries = 0;
  std::int32_t n_cells = 0;        ///< that the engine reads, as it rounds them up
  std::span<const float> weights;  ///< valid during the call
};

/// One cache with the life of its prompts: prefill or read, compress, decode, clear. Not thread-safe.
class Session {
 public:
  /// UsageError: no model, options out of range, cache positions where the engine cannot turn the model's
  /// keys rightly. Error when the model's cache cannot be allocated or its kind is unsupported.
  Session(std::shared_ptr<Model> model, const SessionOptions& options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Model& model() const;
  /// As given, with defaults replaced by what they became.
  const SessionOptions& options() const;
  const CacheParts& cache_parts() const;
  /// Layers that keep every token, and are compressed.
  std::int32_t n_layers() const { return std::int32_t(cache_parts().compressed.size()); }
  /// What was chosen for the model's weights, in the order of their first use.
  std::span<const WeightUse> weights() const;

  /// Reads `tokens` after what `sequence` holds and lets every plan choose what it would keep of all its
  /// entries; nothing is dropped yet. A plan observes the queries of `tokens` only. A budget that is a share
  /// is one of all tokens that the sequence has read. UsageError, with the sequence as it was: no tokens,
  /// what is no token, no room, a plan without method, a budget that cannot hold what a plan protects.
  /// `logits` holds the last token's afterwards.
  ///
  /// A plan whose method observes the first M tokens of the answer (ObservationRequest::after, unless
  /// Plan::at_once) has not chosen yet: the next M tokens that `decode` reads into the sequence are observed,
  /// and it chooses after them, among the same entries. Any other change of the sequence calls that off. What
  /// waits in between takes, a layer that scores, 4 n_head n_entries bytes for the window and
  /// 4 n_head head_dim M for the answer.
  void prefill(std::span<const Token> tokens, std::span<const Plan> plans = {}, const Progress& progress = {},
               Sequence sequence = 0);

  /// Reads `tokens`, which may be more than the cache has cells, after what `sequence` holds, in pieces:
  /// whenever the next one would not fit, the plan chooses and the cache is compressed to its budget; so it
  /// is at the end. With a single piece this is prefill and compress; with more, the first 4 tokens are
  /// always kept. Where the plan observes the answer and the question is kept, the last compression comes in
  /// the `decode` that ends that, and the answer's first tokens have room. Returns how often it compressed.
  /// UsageError when budget, piece and question do not fit into the cells together.
  std::int32_t read(std::span<const Token> tokens, const Reading& reading, const Progress& progress = {},
                    Sequence sequence = 0);

  /// `prefill` and `read` in steps, so that other sequences are decoded and read in between: what starts
  /// checks and reads nothing, `step` reads a micro-batch, with the compression that follows it, and returns
  /// whether anything is left. A call that changes the sequence ends its reading, as an exception does; what
  /// was read stays. Other sequences may take cells meanwhile: a step throws Error where there are too few.
  void start_prefill(std::span<const Token> tokens, std::span<const Plan> plans = {}, Sequence sequence = 0);
  void start_read(std::span<const Token> tokens, const Reading& reading, Sequence sequence = 0);
  bool step(Sequence sequence = 0);
  /// How far that is; `total` is 0 when nothing was started.
  ReadState reading(Sequence sequence = 0) const;

  /// From now on `decode` compresses `sequence` to the plan's budget whenever it has grown `buffer` entries
  /// beyond it; the plan observes the last steps only. A share is one of the tokens read so far. A method
  /// that reads every query (h2o) sums from here on what it did not see before.
  void limit(const Plan& plan, std::int32_t buffer, Sequence sequence = 0);
  /// Ends that.
  void unlimit(Sequence sequence = 0);
  /// Compressions of `sequence` since it was empty.
  std::int32_t n_compressions(Sequence sequence = 0) const;

  /// What plan `index` of the last prefill chose, or of the last one of `sequence`. Valid until the next
  /// prefill. UsageError when it still observes the answer.
  const Selection& selection(std::size_t index = 0) const;
  const Selection& selection(std::size_t index, Sequence sequence) const;
  /// Whether it has chosen.
  bool has_chosen(std::size_t index = 0, Sequence sequence = 0) const;

  /// Drops every entry that is not in `layers` (all layers in order; lists ascending, unique, in range;
  /// UsageError otherwise). Shorter lists are filled up as `level` does. Kept keys and values are moved byte
  /// for byte into the sequence's lowest cells; the next token still has its true position. Other sequences
  /// are untouched. Memory of freed host cells goes back to the system.
  void compress(std::span<const LayerKept> layers, Sequence sequence = 0, Surplus surplus = Surplus::fill);
  /// Entries that were read after the selection's are kept.
  void compress(const Selection& selection, Sequence sequence = 0);
  /// Compresses by what plan `index` of the sequence's last prefill chose: now, or, where it observes the
  /// answer, in the `decode` that reads the last token of it that is observed. What calls the observation off
  /// calls this off too; an answer that ends before is never compressed.
  void compress_when_chosen(std::size_t index = 0, Sequence sequence = 0);
  /// Tokens that must still be decoded until then; 0 when nothing waits.
  std::int32_t n_until_compression(Sequence sequence = 0) const;

  /// Reads one token at the next position and returns the logits of what follows, [n_vocab], valid
  /// until the next call. UsageError for what is no token, Error when the cache is full; nothing was read
  /// then.
  std::span<const float> decode(Token token, Sequence sequence = 0);

  /// Reads one token of each of several sequences, together: that costs little more than one. `on_logits`
  /// gets what follows each, [n_vocab], by index in `sequences`. A sequence that is limited is cut back after
  /// the step where it is time. UsageError for a sequence that is given twice. Error when the cache is full.
  void decode(std::span<const Token> tokens, std::span<const Sequence> sequences,
              const std::function<void(std::size_t index, std::span<const float> logits)>& on_logits);

  /// Reads `tokens` after what the sequence holds, as `decode` would one after the other, but together.
  /// `on_logits` gets the logits after each, `on_attention` (where given) the attention of each. UsageError,
  /// with nothing read: no `on_logits`, what is no token, no room.
  void evaluate(std::span<const Token> tokens,
                const std::function<void(std::size_t index, std::span<const float> logits)>& on_logits,
                const std::function<void(const AttentionRows&)>& on_attention = {}, Sequence sequence = 0);

  /// Sum of the absolute values of each entry's key and value in `layer`, [n_head_kv][n_entries].
  std::vector<float> magnitudes(std::int32_t layer, Sequence sequence = 0) const;

  /// Logits after the last token read, [n_vocab]. UsageError when nothing was read in this session yet.
  std::span<const float> logits() const;

  /// Drops all entries of `sequence`.
  void clear(Sequence sequence = 0);
  /// Drops the newest entries of `sequence` until `n_entries` are left; the next position follows the last
  /// one left. UsageError, with nothing dropped, for entries that a compression kept, and where windows or
  /// states have forgotten what they held then: those need a checkpoint.
  void truncate(std::int32_t n_entries, Sequence sequence = 0);
  /// Where `sequence` is now.
  Checkpoint checkpoint(Sequence sequence = 0) const;
  /// Drops what was read since. UsageError, with nothing dropped, when the sequence is shorter, was
  /// compressed since, or has other tokens there.
  void go_back(const Checkpoint& checkpoint, Sequence sequence = 0);

  /// Whether `share` is possible: all layers keep every token, and positions are true.
  bool can_share() const;
  /// How many of its first tokens `sequence` holds as they were read, whatever was dropped of the others: a
  /// protected beginning stays so while its cells do not move.
  std::int32_t n_intact(Sequence sequence = 0) const;
  /// Replaces what `to` holds by the first `n_tokens` of `from`, in the same cells: nothing is read or
  /// copied. A beginning within `n_intact`, or one that ends after what was compressed. From there on each
  /// goes its own way; a compression that keeps more of shared cells than a sequence has cells of its own
  /// takes free ones. UsageError, with nothing changed, for another beginning.
  void share(Sequence from, std::int32_t n_tokens, Sequence to);

  /// A copy of `sequence` in host memory. Error where cache positions are used.
  Snapshot snapshot(Sequence sequence = 0) const;
  /// Replaces what `sequence` holds. Error when the snapshot is damaged, is not from a cache of this model
  /// and these types, or does not fit; the sequence is empty then. Nothing of a damaged one reaches the
  /// engine. `logits` is not restored.
  void restore(const Snapshot& snapshot, Sequence sequence = 0);
  /// The same cache with keys and values in this session's types, to be restored here: a prompt can be read
  /// into an f16 cache, which is fast, and kept in a q8_0 one. Error when it is of another model or of a
  /// cache without flash attention.
  Snapshot converted(Snapshot snapshot) const;

  /// Every token that was read into `sequence`, by position; those that were dropped included.
  const std::vector<Token>& tokens(Sequence sequence = 0) const;
  std::int32_t n_entries(Sequence sequence = 0) const;
  /// Position of the next token.
  Position next_position(Sequence sequence = 0) const;
  /// True positions held by `layer` and KV head `head`, by entry.
  std::vector<Position> positions(std::int32_t layer, std::int32_t head, Sequence sequence = 0) const;
  CacheUse use(Sequence sequence) const;  ///< of one sequence
  CacheUse use() const;                   ///< of the whole cache
  const Timings& timings() const;

  llama_context* handle() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chunkkv
