#include "llama/context.h"

#include "llama/compute.h"
#include "llama/key_shift.h"
#include "llama/key_statistics.h"
#include "llama/release_pages.h"
#include "llama/row_mover.h"
#include "llama/state_check.h"
#include "llama/state_conversion.h"
#include "llama/support.h"
#include "llama/tap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace chunkkv::engine {
namespace {

ggml_type engine_type(CacheType type) {
  switch (type) {
    case CacheType::f32:
      return GGML_TYPE_F32;
    case CacheType::f16:
      return GGML_TYPE_F16;
    case CacheType::bf16:
      return GGML_TYPE_BF16;
    case CacheType::q8_0:
      return GGML_TYPE_Q8_0;
    case CacheType::q4_0:
      return GGML_TYPE_Q4_0;
    case CacheType::q4_1:
      return GGML_TYPE_Q4_1;
    case CacheType::q5_0:
      return GGML_TYPE_Q5_0;
    case CacheType::q5_1:
      return GGML_TYPE_Q5_1;
    case CacheType::iq4_nl:
      return GGML_TYPE_IQ4_NL;
  }
  throw UsageError("unknown cache type");
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
  const CacheLayers& cache = tap_->cache();
  parts_.compressed = cache.model_numbers();
  parts_.n_window = cache.n_window_layers();
  parts_.window = parts_.n_window > 0 ? window : 0;
  parts_.window_cells = cache.n_window_cells();
  parts_.n_state = cache.n_state_layers();
  parts_.n_shared = cache.n_sharing_layers();
  parts_.fixed_bytes = cache.fixed_bytes();
  bool known = cache.is_known();  // false, for one, where two groups keep every token
  for (const auto& [number, layer] : tap_->layers())
    known = known && layer.k != nullptr && layer.n_head_kv > 0 && layer.k->ne[2] == 1 &&
            (layer.v != nullptr || layer.n_head_kv == 1);
  for (const auto& [number, layer] : cache.kept()) {
    parts_.n_head_kv.push_back(layer.n_head_kv);
    parts_.has_values = parts_.has_values && layer.v != nullptr;
  }
  if (!known)
    throw Error(
        "the cache of this model is of a kind that chunkkv does not know, so it cannot be compressed; run "
        "the "
        "model with llama.cpp's own tools");
}

std::uint64_t Context::cell_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [number, layer] : tap_->layers())
    for (const ggml_tensor* rows : layer.tensors()) bytes += rows->nb[1];
  return bytes;
}

std::int32_t Context::n_head(std::int32_t layer) const {
  return tap_->layers().at(layer).n_head;
}

std::span<const WeightUse> Context::weights() const {
  return tap_->weights();
}

std::unique_ptr<LayerProbe> Context::probe(std::int32_t layer, const std::vector<std::int32_t>& cells,
                                           std::int32_t n_entries) {
  return std::make_unique<LayerProbe>(*compute_, tap_->layers().at(layer), layer, cells, n_entries);
}

std::vector<float> Context::attention_weights(const Attention& attention, QueryRange queries) {
  queries.first += attention.first_row;
  return engine::attention_weights(*compute_, tap_->layers().at(attention.layer), attention, queries);
}

std::vector<float> Context::magnitudes(std::int32_t layer, std::span<const std::int32_t> cells) {
  const CacheLayer& cache = tap_->layers().at(layer);
  const RowTensor values = values_of(cache, "magnitudes");
  std::vector<float> sums = row_magnitudes(*compute_, cache, keys_of(cache), cells);
  if (cache.v == nullptr) return sums;  // values are part of the keys
  const std::vector<float> of_values = row_magnitudes(*compute_, cache, values, cells);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += of_values[i];
  return sums;
}

bool Context::can_move_rows() const {
  return !tap_->layers().begin()->second.v_transposed;
}

void Context::move_rows(std::int32_t layer, std::span<const std::vector<std::int32_t>> from,
                        std::span<const std::int32_t> to) {
  engine::move_rows(*compute_, tap_->layers().at(layer), from, to);
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
  std::vector<std::uint8_t> state;
  if (has_state() && !positions.empty()) {
    // The newest position, which the state belongs to, cannot be dropped alone. So the whole sequence is
    // written anew, into the lowest cells.
    const std::vector<std::byte> whole = this->state(sequence);
    if (llama_state_seq_set_data(context_.get(), reinterpret_cast<const std::uint8_t*>(whole.data()),
                                 whole.size(), sequence) != whole.size())
      throw Error("the engine could not move cells of the cache; -v shows its messages");
    return;
  }
  for (std::size_t done = 0; done < positions.size(); done += at_once) {
    const auto now = positions.subspan(done, std::min(at_once, positions.size() - done));
    for (const Position p : now) llama_memory_seq_cp(memory, sequence, scratch_, p, p + 1);
    state.resize(llama_state_seq_get_size(context_.get(), scratch_));
    const std::size_t written =
        llama_state_seq_get_data(context_.get(), state.data(), state.size(), scratch_);
    remove(scratch_, -1, -1);
    for (const Position p : now) remove(sequence, p, p + 1);
    // The engine fills the lowest free cells first.
    if (written == 0 || llama_state_seq_set_data(context_.get(), state.data(), written, scratch_) == 0)
      throw Error("the engine could not move cells of the cache; -v shows its messages");
    llama_memory_seq_cp(memory, scratch_, sequence, -1, -1);
    remove(scratch_, -1, -1);
  }
}

std::vector<std::byte> Context::windows_and_states(SequenceId sequence) const {
  if (!has_windows_or_states()) return {};
  std::vector<std::byte> data(
      llama_state_seq_get_size_ext(context_.get(), sequence, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY));
  const std::size_t written =
      llama_state_seq_get_data_ext(context_.get(), reinterpret_cast<std::uint8_t*>(data.data()), data.size(),
                                   sequence, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY);
  if (written == 0) throw Error("the engine could not copy its windows and states; -v shows its messages");
  data.resize(written);
  return data;
}

void Context::set_windows_and_states(SequenceId sequence, std::span<const std::byte> saved) {
  if (saved.empty()) return;
  if (llama_state_seq_set_data_ext(context_.get(), reinterpret_cast<const std::uint8_t*>(saved.data()),
                                   saved.size(), sequence,
                                   LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY) != saved.size())
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
  std::vector<std::byte> data(llama_state_seq_get_size(context_.get(), sequence));
  const std::size_t written = llama_state_seq_get_data(
      context_.get(), reinterpret_cast<std::uint8_t*>(data.data()), data.size(), sequence);
  if (written == 0) throw Error("the engine could not copy its cache; -v shows its messages");
  data.resize(written);
  return data;
}

void Context::set_state(SequenceId sequence, std::span<const std::byte> state,
                        std::span<const Position> positions) {
  check_state(state, tap_->layers(), positions, StateTypes::same_as_cache, extension(),
              has_windows_or_states());
  if (llama_state_seq_set_data(context_.get(), reinterpret_cast<const std::uint8_t*>(state.data()),
                               state.size(), sequence) == state.size())
    return;
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
  check_state(state, tap_->layers(), positions, StateTypes::any, extension(), has_windows_or_states());
  const CacheLayer& any = tap_->layers().begin()->second;
  return convert_state(state, tap_->layers(), any.k->type, (any.v != nullptr ? any.v : any.k)->type,
                       extension(), has_windows_or_states());
}

bool Context::has_windows_or_states() const {
  return has_state() || parts_.n_window > 0;
}

std::size_t Context::extension() const {
  return cell_extension(llama_get_model(context_.get()));
}

void Context::release_cells(std::int32_t first) {
  for (const auto& [number, layer] : tap_->layers())
    for (ggml_tensor* rows : layer.tensors())
      if (ggml_backend_buffer_get_type(rows->buffer) == ggml_backend_cpu_buffer_type())
        release_pages(static_cast<std::byte*>(rows->data) + rows->nb[1] * std::size_t(first),
                      rows->nb[1] * std::size_t(rows->ne[1] - first));
}

}  // namespace chunkkv::engine
