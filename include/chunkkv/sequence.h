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
  mask,  ///< the engine sees all cells, the layer's attention only its own; saves no memory, for evaluation
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
  Uneven uneven = Uneven::keep_newest;
};

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

class Session;
struct SequenceState;

/// One text in the cache of a session: prefill or read, compress, decode, clear. The session owns it, and it
/// lives as long. What a call takes and what it leaves belongs to the sequence, so that several requests can
/// be in work at once, a step of one after a step of another. Not thread-safe, nor are the sequences of one
/// session together.
class Sequence {
 public:
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  SequenceId id() const;
  Session& session();
  const Session& session() const;

  /// Reads `tokens` after what the sequence holds and lets every plan choose what it would keep of all its
  /// entries; nothing is dropped yet. A plan observes the queries of `tokens` only. A budget that is a share
  /// is one of all tokens that the sequence has read. UsageError, with the sequence as it was: no tokens,
  /// what is no token, no room, a plan without method, a budget that cannot hold what a plan protects.
  /// `Session::logits` holds the last token's afterwards.
  ///
  /// A plan whose method observes the first M tokens of the answer (ObservationRequest::after, unless
  /// Plan::at_once) has not chosen yet: the next M tokens that `decode` reads into the sequence are observed,
  /// and it chooses after them, among the same entries. Any other change of the sequence calls that off. What
  /// waits in between takes, a layer that scores, 4 n_head n_entries bytes for the window and
  /// 4 n_head head_dim M for the answer.
  void prefill(std::span<const Token> tokens, std::span<const Plan> plans = {},
               const Progress& progress = {});

  /// Reads `tokens`, which may be more than the cache has cells, after what the sequence holds, in pieces:
  /// whenever the next one would not fit, the plan chooses and the cache is compressed to its budget; so it
  /// is at the end. With a single piece this is prefill and compress; with more, the first 4 tokens are
  /// always kept. Where the plan observes the answer and the question is kept, the last compression comes in
  /// the `decode` that ends that, and the answer's first tokens have room. Returns how often it compressed.
  /// UsageError when budget, piece and question do not fit into the cells together.
  std::int32_t read(std::span<const Token> tokens, const Reading& reading, const Progress& progress = {});

  /// `prefill` and `read` in steps, so that other sequences are decoded and read in between: what starts
  /// checks and reads nothing, `step` reads a micro-batch, with the compression that follows it, and returns
  /// whether anything is left. A call that changes the sequence ends its reading, as an exception does; what
  /// was read stays. Other sequences may take cells meanwhile: a step throws Error where there are too few.
  void start_prefill(std::span<const Token> tokens, std::span<const Plan> plans = {});
  void start_read(std::span<const Token> tokens, const Reading& reading);
  bool step();
  /// How far that is; `total` is 0 when nothing was started.
  ReadState reading() const;

  /// What plan `index` of the sequence's last prefill chose. Valid until its next prefill or reading,
  /// whatever is decoded or compressed, and whatever other sequences do. UsageError when it still observes
  /// the answer.
  const Selection& selection(std::size_t index = 0) const;
  /// Whether it has chosen.
  bool has_chosen(std::size_t index = 0) const;

  /// Drops every entry that is not in `layers` (all layers in order; lists ascending, unique, in range;
  /// UsageError otherwise). Shorter lists are filled up as `equalize` does. Kept keys and values are moved
  /// byte for byte into the sequence's lowest cells; the next token still has its true position. Other
  /// sequences are untouched. Memory of freed host cells goes back to the system.
  void compress(std::span<const LayerKept> layers, Uneven uneven = Uneven::keep_newest);
  /// Entries that were read after the selection's are kept.
  void compress(const Selection& selection);
  /// Compresses by what plan `index` of the last prefill chose: now, or, where it observes the answer, in the
  /// `decode` that reads the last token of it that is observed. What calls the observation off calls this off
  /// too; an answer that ends before is never compressed.
  void compress_when_chosen(std::size_t index = 0);
  /// Tokens that must still be decoded until then; 0 when nothing waits.
  std::int32_t n_until_compression() const;
  /// Compressions since the sequence was empty.
  std::int32_t n_compressions() const;

  /// Reads one token at the next position and returns the logits of what follows, [n_vocab], valid until the
  /// session's next call. UsageError for what is no token, Error when the cache is full; nothing was read
  /// then. `Session::decode` reads tokens of several sequences together.
  std::span<const float> decode(Token token);

  /// From now on decoding compresses the sequence to the plan's budget whenever it has grown `buffer` entries
  /// beyond it; the plan observes the last steps only. A share is one of the tokens read so far. A method
  /// that reads every query (h2o) sums from here on what it did not see before.
  void compress_while_decoding(const Plan& plan, std::int32_t buffer);
  /// Ends that.
  void stop_compressing();

  /// Reads `tokens` after what the sequence holds, as `decode` would one after the other, but together.
  /// `on_logits` gets the logits after each, `on_attention` (where given) the attention of each. UsageError,
  /// with nothing read: no `on_logits`, what is no token, no room.
  void evaluate(std::span<const Token> tokens,
                const std::function<void(std::size_t index, std::span<const float> logits)>& on_logits,
                const std::function<void(const AttentionRows&)>& on_attention = {});

  /// Sum of the absolute values of each entry's key and value in `layer`, [n_head_kv][n_entries].
  std::vector<float> magnitudes(std::int32_t layer) const;

  /// Drops all entries. A limit stays, and so does what plans chose.
  void clear();
  /// Drops the newest entries until `n_entries` are left; the next position follows the last one left.
  /// UsageError, with nothing dropped, for entries that a compression kept, and where windows or states have
  /// forgotten what they held then: those need a checkpoint.
  void truncate(std::int32_t n_entries);
  /// Where the sequence is now.
  Checkpoint checkpoint() const;
  /// Drops what was read since. UsageError, with nothing dropped, when the sequence is shorter, was
  /// compressed since, or has other tokens there.
  void go_back(const Checkpoint& checkpoint);

  /// How many of its first tokens the sequence holds as they were read, whatever was dropped of the others: a
  /// protected beginning stays so while its cells do not move.
  std::int32_t n_intact() const;
  /// Replaces what this sequence holds by the first `n_tokens` of `from`, another one of the session, in the
  /// same cells: nothing is read or copied. A beginning within `from.n_intact()`, or one that ends after what
  /// was compressed. From there on each goes its own way; a compression that keeps more of shared cells than
  /// a sequence has cells of its own takes free ones. UsageError, with nothing changed, for another beginning
  /// and where `Session::can_share` is false.
  void share(const Sequence& from, std::int32_t n_tokens);

  /// A copy of the sequence in host memory. Error where cache positions are used.
  Snapshot snapshot() const;
  /// Replaces what the sequence holds. Error when the snapshot is damaged, is not from a cache of this model
  /// and these types, or does not fit; the sequence is empty then. Nothing of a damaged one reaches the
  /// engine. `Session::logits` is not restored.
  void restore(const Snapshot& snapshot);

  /// Every token that was read, by position; those that were dropped included.
  const std::vector<Token>& tokens() const;
  std::int32_t n_entries() const;
  /// Position of the next token.
  Position next_position() const;
  /// True positions held by `layer` and KV head `head`, by entry.
  std::vector<Position> positions(std::int32_t layer, std::int32_t head) const;
  CacheUse use() const;

 private:
  friend SequenceState;
  explicit Sequence(SequenceState& state) : state_(state) {}

  SequenceState& state_;
};

}  // namespace chunkkv
