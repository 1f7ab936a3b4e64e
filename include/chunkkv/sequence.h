#pragma once

#include <chunkkv/cache.h>
#include <chunkkv/reading.h>
#include <chunkkv/snapshot.h>
#include <chunkkv/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace chunkkv {

/// What to do where layers or heads keep unequally many entries: the engine's cache has the same number of
/// cells in every layer and head.
enum class Uneven : std::uint8_t {
  keep_newest,  ///< the shorter list is filled with the newest entries that it lacks (`equalize`)
  mask,         ///< cells beyond a layer's list are hidden from it; saves no memory, for evaluation
};

/// What a plan chose.
struct Selection {
  std::vector<LayerKept> layers;  ///< kept sets of all layers, in order
  /// With Plan::keep_scores the scores of each layer, empty where it reused another layer's choice.
  std::vector<Scores> scores;
  std::int32_t n_entries = 0;  ///< entries among which it chose
  std::int32_t n_kept = 0;     ///< entries that it keeps, in the layer that keeps most
  /// First tokens of the answer that it observed; their entries follow the `n_entries` and are kept.
  std::int32_t after = 0;
  Uneven uneven = Uneven::keep_newest;
};

/// Attention weights of a few queries in one layer, [n_head][n_queries][n_entries], for all entries up to the
/// last token of the queries' micro-batch; those that a query cannot see have 0.
struct AttentionRows {
  std::int32_t layer = 0;
  std::int32_t n_head = 0;
  std::int32_t n_head_kv = 0;
  std::int32_t first_query = 0;  ///< index of the first query among the evaluated tokens
  std::int32_t n_queries = 0;
  std::int32_t n_entries = 0;
  std::int32_t n_cells = 0;        ///< cells that the engine's attention reads, rounded up by it
  std::span<const float> weights;  ///< valid during the call
};

class Session;
struct SequenceState;

/// One text in the cache of a session: prefill or read, compress, decode, clear. The session owns its
/// sequences, and they live as long as it does. All that a call leaves behind belongs to its sequence, so
/// that several requests can be in work at once, with steps of one between steps of another. Not thread-safe,
/// and neither are several sequences of one session together.
class Sequence {
 public:
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  SequenceId id() const;
  Session& session();
  const Session& session() const;

  /// Reads `tokens` after what the sequence holds and lets every plan choose what it would keep of all its
  /// entries; nothing is dropped yet. A plan observes the queries of `tokens` only. A budget that is a share
  /// is taken of all tokens that the sequence has read. Afterwards `Session::logits` holds the logits of the
  /// last token. UsageError, with nothing read: no tokens, a token id outside the vocabulary, no room, a plan
  /// without a method, a budget that cannot hold what its plan protects.
  ///
  /// A plan whose method observes the first M tokens of the answer (ObservationRequest::after, unless
  /// Plan::at_once) has not chosen yet: the next M tokens that `decode` reads into the sequence are observed,
  /// then it chooses among the same entries. Any other change of the sequence cancels that. Until then each
  /// layer that scores holds 4 n_head n_entries bytes for the window and 4 n_head head_dim M for the answer.
  void prefill(std::span<const Token> tokens, std::span<const Plan> plans = {},
               const Progress& progress = {});

  /// Reads `tokens`, which may be more than the cache has cells, after what the sequence holds, in pieces:
  /// whenever the next piece would not fit, and at the end, the plan chooses and the cache is compressed to
  /// its budget. With a single piece this is prefill and compress; with more, the first 4 tokens are always
  /// kept. Where the plan observes the answer and the question is kept, the last compression happens in the
  /// `decode` that reads the last observed token, for which there is room. Returns the number of
  /// compressions. UsageError when budget, piece and question do not fit into the cells together.
  std::int32_t read(std::span<const Token> tokens, const Reading& reading, const Progress& progress = {});

  /// `prefill` and `read` in steps, so that other sequences can be decoded and read in between. The
  /// start functions check and read nothing; `step` reads a micro-batch, with the compression that
  /// follows it, and returns whether anything is left. An exception, or a call that changes the
  /// sequence, ends its reading; what was read stays. Other sequences may take cells meanwhile: a step
  /// throws Error when too few are left.
  void start_prefill(std::span<const Token> tokens, std::span<const Plan> plans = {});
  void start_read(std::span<const Token> tokens, const Reading& reading);
  bool step();
  /// How far the started reading is; `total` is 0 when none was started.
  ReadState reading() const;

  /// Returns what plan `index` of the sequence's last prefill chose, valid until its next prefill or reading,
  /// whatever is decoded or compressed and whatever other sequences do. UsageError when there is no such
  /// plan, or when it still observes the answer.
  const Selection& selection(std::size_t index = 0) const;
  /// Whether plan `index` has chosen.
  bool has_chosen(std::size_t index = 0) const;

  /// Drops every entry that is not in `layers`: all layers in order, with lists that are ascending, unique
  /// and in range. `uneven` says what happens to shorter lists. Kept keys and values are moved byte for byte
  /// into the lowest cells that no other sequence holds; the next token still has its true position. Other
  /// sequences are untouched. Memory of freed host cells goes back to the system. UsageError for other lists,
  /// without flash attention, and when cells are hidden already.
  void compress(std::span<const LayerKept> layers, Uneven uneven = Uneven::keep_newest);
  /// Compresses to `selection`; entries that were read after its own are kept.
  void compress(const Selection& selection);
  /// Compresses to what plan `index` of the last prefill chose: now, or, when it observes the answer, in the
  /// `decode` that reads the last observed token. Whatever cancels the observation cancels this too; if the
  /// answer ends earlier, nothing is compressed.
  void compress_when_chosen(std::size_t index = 0);
  /// Tokens that must be decoded before that compression; 0 when none is waiting.
  std::int32_t n_until_compression() const;
  /// Compressions since the sequence was empty.
  std::int32_t n_compressions() const;

  /// Reads one token at the next position and returns the logits of what follows, [n_vocab], valid until the
  /// session's next call. UsageError for a token id outside the vocabulary, Error when the cache is full;
  /// nothing was read then. `Session::decode` reads tokens of several sequences together.
  std::span<const float> decode(Token token);

  /// From now on decoding compresses the sequence to the plan's budget whenever it has grown `buffer` entries
  /// beyond it; the plan observes the last steps only. A share is taken of the tokens read so far. A method
  /// that reads every query (h2o) adds to the sums that earlier plans collected for it, if any. UsageError
  /// when budget and buffer do not fit into the cells, or the method cannot compress while decoding.
  void compress_while_decoding(const Plan& plan, std::int32_t buffer);
  /// Ends the compression while decoding.
  void stop_compressing();

  /// Reads `tokens` after what the sequence holds, as `decode` would one by one, but together. `on_logits`
  /// gets the logits after each token, `on_attention` (if given) the attention of each. UsageError, with
  /// nothing read: no `on_logits`, a token id outside the vocabulary, no room.
  void evaluate(std::span<const Token> tokens,
                const std::function<void(std::size_t index, std::span<const float> logits)>& on_logits,
                const std::function<void(const AttentionRows&)>& on_attention = {});

  /// Sum of the absolute values of each entry's key and value in `layer`, [n_head_kv][n_entries].
  std::vector<float> magnitudes(std::int32_t layer) const;

  /// Drops all entries. The plan of `compress_while_decoding` and the selections of the last prefill stay.
  void clear();
  /// Drops the newest entries until `n_entries` are left; the next position follows the last one left.
  /// UsageError, with nothing dropped, when these include entries that a compression kept, or when windows or
  /// states no longer hold what they held at that length: go back to a checkpoint then.
  void truncate(std::int32_t n_entries);
  /// A checkpoint of the sequence as it is now.
  Checkpoint checkpoint() const;
  /// Drops what was read since `checkpoint`. UsageError, with nothing dropped, when the sequence is shorter,
  /// was compressed since, or is at another position there; its tokens are not compared.
  void go_back(const Checkpoint& checkpoint);
  /// Whether `go_back` takes the checkpoint.
  bool can_go_back(const Checkpoint& checkpoint) const;

  /// Number of first tokens that all layers and heads still hold, whatever was dropped of the later ones. A
  /// protected beginning counts while its cells keep their positions in the engine.
  std::int32_t n_intact() const;
  /// Replaces what this sequence holds by the first `n_tokens` of `from`, another sequence of the session, in
  /// the same cells: nothing is read or copied. These tokens lie within `from.n_intact()`, or end after the
  /// entries that a compression kept. Afterwards each sequence goes its own way; a compression that keeps
  /// more entries than the sequence has unshared cells takes free ones. UsageError, with nothing changed, for
  /// any other `n_tokens` and where `Session::can_share` is false.
  void share(const Sequence& from, std::int32_t n_tokens);

  /// A copy of the sequence in host memory. Error with cache positions or hidden cells (Uneven::mask).
  Snapshot snapshot() const;
  /// Replaces what the sequence holds. Error, with the sequence empty, when the snapshot is damaged, is not
  /// from a cache of this model and these types, or does not fit. Nothing of a damaged one reaches the
  /// engine. `Session::logits` is not restored.
  void restore(const Snapshot& snapshot);

  /// All tokens that were read, by position, including those that were dropped.
  const std::vector<Token>& tokens() const;
  std::int32_t n_entries() const;
  /// Position of the next token.
  Position next_position() const;
  /// True positions of the entries that `layer` and KV head `head` hold, by entry; hidden ones are left out.
  std::vector<Position> positions(std::int32_t layer, std::int32_t head) const;
  CacheUse use() const;

 private:
  friend SequenceState;
  explicit Sequence(SequenceState& state) : state_(state) {}

  SequenceState& state_;
};

}  // namespace chunkkv
