#include "llama/context.h"

#include "llama/cache_type.h"
#include "llama/compute.h"
#include "llama/engine_state.h"
#include "llama/kernel_run.h"
#include "llama/key_shift.h"
#include "llama/key_statistics.h"
#include "llama/row_mover.h"
#include "llama/support.h"
#include "llama/tap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace chunkkv::engine {
namespace {

/// Gives the whole pages inside [begin, begin + size) back to the operating system; they read as zero
/// afterwards and cost memory again only when written. Only for private memory. Does nothing on systems
/// other than Linux.
void release_pages([[maybe_unused]] std::byte* begin, [[maybe_unused]] std::size_t size) {
#ifdef __linux__
  const auto page = std::uintptr_t(sysconf(_SC_PAGESIZE));
  const auto first = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
  const auto last = reinterpret_cast<std::uintptr_t>(begin + size) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
#endif
}

class Batch {
 public:
  explicit Batch(std::size_t n_tokens) : batch_(llama_batch_init(std::int32_t(n_tokens), 0, 1)) {}
  ~Batch() { llama_batch_free(batch_); }

  void add(Token token, Position position, SequenceId sequence, bool logits) {
    const std::int32_t i = batch_.n_tokens++;
    batch_.token[i] = token;
    batch_.pos[i] = position;
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = sequence;
    batch_.logits[i] = logits;
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  const llama_batch& get() const { return batch_; }

 private:
  llama_batch batch_;
};

/// Copies a sequence in the engine's own format, or the part of it that `flags` name; empty where the engine
/// fails.
std::vector<std::byte> state_of(llama_context* context, SequenceId sequence,
                                llama_state_seq_flags flags = 0) {
  std::vector<std::byte> data(llama_state_seq_get_size_ext(context, sequence, flags));
  auto* bytes = reinterpret_cast<std::uint8_t*>(data.data());
  data.resize(llama_state_seq_get_data_ext(context, bytes, data.size(), sequence, flags));
  return data;
}

/// Puts such a copy in the sequence's place; false where the engine does not take the whole of it.
bool set_state_of(llama_context* context, SequenceId sequence, std::span<const std::byte> state,
                  llama_state_seq_flags flags = 0) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(state.data());
  return llama_state_seq_set_data_ext(context, bytes, state.size(), sequence, flags) == state.size();
}

}  // namespace

Context::Context(const Model& model, const SessionOptions& options)
    : pool_(options.n_threads),
      tap_(std::make_unique<Tap>()),
      compute_(std::make_unique<Compute>(pool_)),
      scratch_(options.n_sequences),
      n_vocab_(model.info().n_vocab),
      interrupted_(options.interrupted) {
  if (options.cache_positions) require_shiftable_keys(model, options.type_k);
  llama_context_params params = llama_context_default_params();
  params.n_seq_max = std::uint32_t(options.n_sequences + 1);
  // The engine aborts if it has fewer cells, or fewer tokens in a batch, than sequences.
  params.n_ctx = std::max(std::uint32_t(options.n_cells > 0 ? options.n_cells : model.info().n_ctx_train),
                          params.n_seq_max);
  params.n_ubatch = std::uint32_t(std::min(options.n_ubatch, std::int32_t(params.n_ctx)));
  params.swa_full = false;  // layers with a window keep no more than the window
  params.n_batch = std::max(params.n_ubatch, params.n_seq_max);
  params.kv_unified = true;
  params.n_threads = params.n_threads_batch = pool_.n_threads();
  params.flash_attn_type =
      options.flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = engine_type(options.type_k);
  params.type_v = engine_type(options.type_v);
  params.offload_kqv = options.offload_kv;
  params.cb_eval = &Tap::callback;
  params.cb_eval_user_data = tap_.get();
  context_.reset(llama_init_from_model(model.handle(), params));
  if (!context_)
    throw Error(fmt::format(
        "the engine could not allocate a cache of {} cells ({} keys, {} values); use a smaller -c, "
        "another cache type, or -v to see its messages",
        params.n_ctx, to_string(options.type_k), to_string(options.type_v)));
  pool_.attach(context_.get());
  if (model.fast_prefill()) tap_->accelerate(pool_.n_threads());
  learn_cache(llama_model_n_swa(model.handle()));
  if (interrupted_)
    llama_set_abort_callback(
        context_.get(), [](void* asked) { return (*static_cast<std::function<bool()>*>(asked))(); },
        &interrupted_);
  if (!options.cache_positions) return;
  if (has_windows_or_states())
    throw UsageError(
        "cache positions (--positions cache) are not for models with windows or recurrent layers; use true "
        "positions");
  require_exact_shifts(*this, tap_->layers());
}

Context::~Context() = default;

void Context::learn_cache(std::int32_t window) {
  const Token any = 0;
  const auto read = [&](SequenceId sequence, Position position) {
    const Segment one{.sequence = sequence, .first = position, .tokens = {&any, 1}};
    decode({&one, 1});
  };
  read(scratch_, 0);
  clear();
  if (window == 0) tap_->settle_without_windows();
  if (tap_->cache().is_ambiguous()) {
    // Make a sequence of a token at position 0 and one that lies beyond a window's reach. A third token sees
    // the first one only in layers without a window.
    const Position far = window + 2;
    const SequenceId other = 0;
    read(other, 0);
    read(scratch_, far);
    llama_memory_seq_cp(llama_get_memory(context_.get()), other, scratch_, 0, 1);
    read(scratch_, far + 1);
    clear();
  }
  parts_ = tap_->cache().parts();
  if (parts_.n_window > 0) parts_.window = window;
  // Not known, for one, is a cache in which two groups keep every token.
  const bool known = tap_->cache().is_known() &&
                     std::all_of(tap_->layers().begin(), tap_->layers().end(), [](const CacheLayer& layer) {
                       return layer.k != nullptr && layer.n_head_kv > 0 && layer.k->ne[2] == 1 &&
                              (layer.v != nullptr || layer.n_head_kv == 1);
                     });
  if (!known)
    throw Error(
        "the cache of this model is of a kind that chunkkv does not know, so it cannot be compressed; run "
        "the model with llama.cpp's own tools");
}

std::uint64_t Context::cell_bytes() const {
  std::uint64_t bytes = 0;
  for (const CacheLayer& layer : tap_->layers())
    for (const ggml_tensor* rows : layer.tensors()) bytes += rows->nb[1];
  return bytes;
}

const CacheLayer& Context::cache(std::int32_t layer) const {
  return tap_->layers().at(std::size_t(layer));
}

std::int32_t Context::n_head(std::int32_t layer) const {
  return cache(layer).n_head;
}

std::span<const WeightUse> Context::weights() const {
  return tap_->weights();
}

std::unique_ptr<LayerProbe> Context::probe(std::int32_t layer, const std::vector<std::int32_t>& cells,
                                           std::int32_t n_entries) {
  return std::make_unique<LayerProbe>(*compute_, cache(layer), layer, cells, n_entries);
}

std::vector<float> Context::attention_weights(const Attention& attention, QueryRange queries) {
  queries.first += attention.first_row;
  return engine::attention_weights(*compute_, cache(attention.layer), attention, queries);
}

std::vector<float> Context::magnitudes(std::int32_t layer, std::span<const std::int32_t> cells) {
  const CacheLayer& cache = this->cache(layer);
  const RowTensor values = values_of(cache, "magnitudes");
  std::vector<float> sums = row_magnitudes(*compute_, cache, keys_of(cache), cells);
  if (cache.v == nullptr) return sums;  // values are part of the keys
  const std::vector<float> of_values = row_magnitudes(*compute_, cache, values, cells);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += of_values[i];
  return sums;
}

bool Context::can_move_rows() const {
  return !cache(0).v_transposed;
}

void Context::move_rows(std::int32_t layer, std::span<const std::vector<std::int32_t>> from,
                        std::span<const std::int32_t> to) {
  engine::move_rows(*compute_, cache(layer), from, to);
}

std::int32_t Context::n_cells() const {
  return std::int32_t(llama_n_ctx(context_.get()));
}
std::int32_t Context::n_ubatch() const {
  return std::int32_t(llama_n_ubatch(context_.get()));
}

std::vector<std::int32_t> Context::decode(std::span<const Segment> segments) {
  std::size_t n_tokens = 0;
  for (const Segment& segment : segments) n_tokens += segment.tokens.size();
  Batch batch(n_tokens);
  Tap::DecodeOptions options;
  for (const Segment& segment : segments) {
    for (std::size_t i = 0; i < segment.tokens.size(); ++i)
      batch.add(segment.tokens[i], segment.first + Position(i), segment.sequence,
                segment.all_logits || i + 1 == segment.tokens.size());
    // Cells can be hidden from all tokens of the batch, since other sequences' tokens do not see them anyway.
    if (segment.hidden != nullptr && !segment.hidden->empty()) {
      options.hidden.resize(segment.hidden->size());
      for (std::size_t layer = 0; layer < segment.hidden->size(); ++layer) {
        const std::vector<std::int32_t>& cells = (*segment.hidden)[layer];
        options.hidden[layer].insert(options.hidden[layer].end(), cells.begin(), cells.end());
      }
    }
    for (std::int32_t layer = 0; segment.observer != nullptr && layer < n_layer(); ++layer) {
      if (!segment.observer->watches(layer)) continue;
      options.layers.resize(std::size_t(n_layer()));
      options.layers[std::size_t(layer)] = true;
      if (segments.size() > 1 || !segment.observer->adds_up_all(layer)) continue;
      options.sums.resize(std::size_t(n_layer()));
      options.sums[std::size_t(layer)] = true;
    }
  }
  options.handler = [&](const Attention& attention) { show(segments, attention); };
  tap_->begin(std::move(options));
  const std::int32_t status = llama_decode(context_.get(), batch.get());
  tap_->end();
  switch (status) {
    case 0:
      has_logits_ = true;
      return tap_->cells();
    case 1:
      throw Error(fmt::format("the cache is full: all {} cells are used", n_cells()));
    case 2:
      throw Interrupted("interrupted");
    default:
      throw Error(
          fmt::format("the engine failed to compute a batch (code {}); -v shows its messages", status));
  }
}

void Context::show(std::span<const Segment> segments, const Attention& attention) {
  const std::span<const std::int32_t> cells(tap_->cells());
  std::size_t end = 0;
  for (const Segment& segment : segments) {
    const std::size_t begin = end;
    end += segment.tokens.size();
    if (segment.observer == nullptr || !segment.observer->watches(attention.layer)) continue;
    // The engine may cut a batch into several graphs, and this segment is in another one.
    if (begin < tap_->n_before_graph() || end > cells.size()) continue;
    Attention shown = attention;
    shown.first_row = std::int32_t(begin - tap_->n_before_graph());
    shown.cells = cells.subspan(begin, segment.tokens.size());
    segment.observer->see(shown);
  }
}

std::span<const float> Context::logits(std::int32_t index) const {
  const float* values = has_logits_ ? llama_get_logits_ith(context_.get(), index) : nullptr;
  if (values == nullptr) return {};
  return {values, std::size_t(n_vocab_)};
}

void Context::remove(SequenceId sequence, Position from, Position to) {
  if (!llama_memory_seq_rm(llama_get_memory(context_.get()), sequence, from, to))
    throw Error("the engine refused to drop tokens of this model's cache; nothing was dropped");
}

void Context::share(SequenceId from, SequenceId to, Position end) {
  llama_memory_seq_cp(llama_get_memory(context_.get()), from, to, 0, end);
}

void Context::relocate(SequenceId sequence, std::span<const Position> positions, std::size_t at_once) {
  llama_memory_t memory = llama_get_memory(context_.get());
  const auto put_back = [&](std::span<const std::byte> state, SequenceId into) {
    if (state.empty() || !set_state_of(context_.get(), into, state))
      throw Error("the engine could not move cells of the cache; -v shows its messages");
  };
  if (has_state() && !positions.empty()) {
    // The newest position, which the state belongs to, cannot be dropped alone. So the whole sequence is
    // written anew, into the lowest cells.
    put_back(state(sequence), sequence);
    return;
  }
  for (std::size_t done = 0; done < positions.size(); done += at_once) {
    const auto now = positions.subspan(done, std::min(at_once, positions.size() - done));
    for (const Position p : now) llama_memory_seq_cp(memory, sequence, scratch_, p, p + 1);
    const std::vector<std::byte> cells = state_of(context_.get(), scratch_);
    remove(scratch_, -1, -1);
    for (const Position p : now) remove(sequence, p, p + 1);
    put_back(cells, scratch_);  // the engine fills the lowest free cells first
    llama_memory_seq_cp(memory, scratch_, sequence, -1, -1);
    remove(scratch_, -1, -1);
  }
}

std::vector<std::byte> Context::windows_and_states(SequenceId sequence) const {
  if (!has_windows_or_states()) return {};
  std::vector<std::byte> data = state_of(context_.get(), sequence, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY);
  if (data.empty()) throw Error("the engine could not copy its windows and states; -v shows its messages");
  return data;
}

void Context::set_windows_and_states(SequenceId sequence, std::span<const std::byte> saved) {
  if (!saved.empty() && !set_state_of(context_.get(), sequence, saved, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY))
    throw Error("the engine could not put its windows and states back; the sequence is lost");
}

void Context::shift(SequenceId sequence, Position from, Position to, Position delta) {
  llama_memory_seq_add(llama_get_memory(context_.get()), sequence, from, to, delta);
}

bool Context::can_shift() const {
  return llama_memory_can_shift(llama_get_memory(context_.get()));
}

void Context::clear() {
  llama_memory_clear(llama_get_memory(context_.get()), false);
  has_logits_ = false;
}

std::vector<std::byte> Context::state(SequenceId sequence) const {
  std::vector<std::byte> data = state_of(context_.get(), sequence);
  if (data.empty()) throw Error("the engine could not copy its cache; -v shows its messages");
  return data;
}

void Context::set_state(SequenceId sequence, std::span<const std::byte> state,
                        std::span<const Position> positions) {
  check_state(state, state_format(), positions, StateTypes::same_as_cache);
  if (set_state_of(context_.get(), sequence, state)) return;
  remove(sequence, 0, -1);
  throw Error(
      "the engine refused the saved cache: it is of another model or other cache types (-ctk, -ctv), or "
      "damaged");
}

std::vector<std::byte> Context::converted(std::span<const std::byte> state,
                                          std::span<const Position> positions) const {
  if (parts_.n_window > 0)
    throw Error(
        "the cache of a model with sliding windows cannot be converted to other types; read the prompt with "
        "those that it is to have");
  const StatePieces pieces = check_state(state, state_format(), positions, StateTypes::any);
  if (!can_move_rows())
    throw Error("the saved cache is of another model, or of a cache without flash attention");
  return convert_state(pieces, tap_->layers(), cache(0).k->type, cache(0).tensors().back()->type);
}

bool Context::has_windows_or_states() const {
  return has_state() || parts_.n_window > 0;
}

StateFormat Context::state_format() const {
  return {.layers = tap_->layers(),
          .extension = cell_extension(llama_get_model(context_.get())),
          .states_follow = has_windows_or_states()};
}

void Context::release_cells(std::int32_t first) {
  compute_->free_kernel_memory();
  std::vector<ggml_tensor*> tensors;
  for (const CacheLayer& layer : tap_->layers())
    for (ggml_tensor* rows : layer.tensors())
      if (ggml_backend_buffer_get_type(rows->buffer) == ggml_backend_cpu_buffer_type())
        tensors.push_back(rows);
  if (tensors.empty()) return;
  // The system takes longer to free the memory than we to move what is kept: all threads ask for it.
  run_kernel(*compute_, tensors.front(), 0, [&](char*, std::atomic<std::int64_t>& next) {
    for (std::size_t i = 0; (i = std::size_t(next.fetch_add(1))) < tensors.size();) {
      const ggml_tensor& rows = *tensors[i];
      release_pages(static_cast<std::byte*>(rows.data) + rows.nb[1] * std::size_t(first),
                    rows.nb[1] * std::size_t(rows.ne[1] - first));
    }
  });
}

}  // namespace chunkkv::engine
