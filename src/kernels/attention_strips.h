#pragma once

#include "kernels/attention_received.h"

namespace chunkkv::kernels {
namespace {

/// The strips whose turn it is.
template <class A>
struct StripTurn {
  const StripOrder<A>& order;
  Phase phase;
};

/// Computes the strips of a block one after the other.
template <class A>
class StripsInTurn {
  using Work = AttentionWork<A>;
  using Item = typename Work::Item;
  static constexpr std::int64_t kLanes = A::kLanes;

 public:
  /// `received`: null if the attention that cells receive is not wanted.
  StripsInTurn(const Item& item, const StripTurn<A>& turn, Received<A>* received)
      : item_(item), turn_(turn), received_(received) {}

  /// Takes a strip of one tile: the cells from `begin` to `end` of the block that starts at `cell`.
  void take(const char* queries, std::int64_t tile, std::int64_t cell, std::int64_t begin, std::int64_t end) {
    typename Work::View view;
    turn_.order.find_view(turn_.phase, tile, cell, begin, end, view);
    if (view.high == 0) return;
    const typename Work::Memory& memory = item_.memory;
    const AttentionTask& task = item_.task;
    const TileSums sums = memory.tile(tile, task.depth);
    char* const kept = received_ != nullptr ? received_->keep(tile, turn_.phase, cell, begin, view) : nullptr;
    float* const logits = kInPlace && kept != nullptr ? numbers(kept) : memory.logits;
    char* const weights = !kInPlace && kept != nullptr ? kept : memory.weights;
    Work::logits(item_, queries, begin, view, logits);
    Softmax<A>::run(logits, view.low, view.high, view.seen(), task.out != nullptr ? task.depth : 0, sums,
                    weights, *this);
    if (received_ != nullptr && !received_->after(tile))
      received_->add(tile, kInPlace ? bytes(logits) : weights, begin, view.low, view.high - view.low);
    if (task.out != nullptr)
      A::add_values(logits, weights, memory.values, task.depth, begin + view.low, begin + view.high,
                    sums.values);
  }
  void finish() {}

  /// The soft max calls these; there is no other work to do.
  void finish_values() {}
  void start_group() {}
  template <int>
  void part() {}
  void finish_group() {}

 private:
  static constexpr bool kInPlace = A::kWeightBytes == 0;  // weights take the logits' place

  const Item& item_;
  StripTurn<A> turn_;
  Received<A>* received_;
};

/// The same for arithmetic in steps: during a strip's soft max it adds the values of the strip before it and
/// computes the logits of the next one. The additions and their order stay the same.
template <class A>
class OverlappedStrips {
  using Work = AttentionWork<A>;
  using Item = typename Work::Item;
  static constexpr std::int64_t kLanes = A::kLanes;

 public:
  /// `received`: null if the attention that cells receive is not wanted.
  OverlappedStrips(const Item& item, const StripTurn<A>& turn, Received<A>* received)
      : item_(item), turn_(turn), received_(received) {}

  /// Takes a strip of one tile: the cells from `begin` to `end` of the block that starts at `cell`.
  void take(const char* queries, std::int64_t tile, std::int64_t cell, std::int64_t begin, std::int64_t end) {
    const std::int64_t depth = item_.task.depth, strip = A::strip(depth);
    Strip& next = strips_[place_];
    turn_.order.find_view(turn_.phase, tile, cell, begin, end, next.view);
    if (next.view.high == 0) return;
    next.tile = tile;
    next.begin = begin;
    next.logits = item_.memory.logits + place_ * strip * kLanes;
    next.weights = item_.memory.weights + place_ * strip * std::int64_t(A::kWeightBytes);
    if (received_ != nullptr)
      if (char* kept = received_->keep(tile, turn_.phase, cell, begin, next.view)) next.weights = kept;
    place_ = 1 - place_;
    logits_ = {queries, item_.memory.keys, depth, begin + next.view.low, begin + next.view.high, next.logits};
    run_soft_max();
    now_ = &next;
  }

  void finish() {
    run_soft_max();
    do_all(values_);
  }

  /// The soft max calls this before it scales the sums of values.
  void finish_values() {
    if (tile_of_values_ == now_->tile) do_all(values_);
  }
  /// The soft max calls these for four pairs of cells.
  CHUNKKV_INLINE void start_group() {
    due_ = pace_.next();
    doing_ = due_ == 0 ? kNone : values_.left() > 0 ? kValues : logits_.left() > 0 ? kLogits : kNone;
  }
  template <int Part>
  CHUNKKV_INLINE void part() {
    if (doing_ == kValues)
      values_.template part<Part>();
    else if (doing_ == kLogits)
      logits_.template part<Part>();
  }
  CHUNKKV_INLINE void finish_group() {
    for (; due_ > 1; --due_)
      if (values_.left() > 0)
        do_step(values_);
      else if (logits_.left() > 0)
        do_step(logits_);
  }

 private:
  struct Strip {
    std::int64_t tile = 0, begin = 0;
    float* logits = nullptr;
    char* weights = nullptr;
    typename Work::View view;
  };

  /// Computes the soft max of the strip whose logits are ready, and all steps that are left.
  void run_soft_max() {
    const AttentionTask& task = item_.task;
    if (now_ != nullptr) {
      const TileSums sums = item_.memory.tile(now_->tile, task.depth);
      const typename Work::View& view = now_->view;
      if (task.softcap != 0) Softmax<A>::cap(now_->logits, view.high - view.low, task.softcap);
      const std::int64_t depth = task.out != nullptr ? task.depth : 0;
      if (turn_.phase == kOtherStrips)
        Softmax<A>::settle(view.low, view.high, view.seen(), depth, sums, *this);
      pace_ = {values_.left() + logits_.left(), (view.high - view.low) / 8};
      Softmax<A>::run(now_->logits, view.low, view.high, view.seen(), depth, sums, now_->weights, *this);
    }
    do_all(values_);
    do_all(logits_);
    float* const totals = now_ != nullptr && received_ != nullptr ? receive(*now_) : nullptr;
    if (now_ != nullptr && task.out != nullptr) {
      values_ = {now_->weights,
                 item_.memory.values,
                 task.depth,
                 now_->begin + now_->view.low,
                 now_->begin + now_->view.high,
                 item_.memory.tile(now_->tile, task.depth).values,
                 totals};
      tile_of_values_ = now_->tile;
    }
    now_ = nullptr;
  }

  /// Takes what the cells of a strip receive. Returns where its weights are added up with its values; null if
  /// they are not.
  float* receive(const Strip& strip) {
    if (received_->after(strip.tile)) return nullptr;
    if (turn_.phase == kOtherStrips &&
        Softmax<A>::has_settled(item_.memory.tile(strip.tile, item_.task.depth)))
      if (float* totals = received_->totals_of_tile(strip.tile, strip.begin)) return totals;
    received_->add(strip.tile, strip.weights, strip.begin, strip.view.low, strip.view.high - strip.view.low);
    return nullptr;
  }

  const Item& item_;
  StripTurn<A> turn_;
  Received<A>* received_;
  Strip strips_[2];
  Strip* now_ = nullptr;  // the strip whose logits are ready
  int place_ = 0;         // which of the two strips, with its logits and weights, comes next
  typename A::Values values_;
  typename A::Logits logits_;
  std::int64_t tile_of_values_ = -1;
  enum { kNone, kValues, kLogits } doing_ = kNone;  // what the group's step is
  Pace pace_;
  std::int64_t due_ = 0;  // steps of the group
};

}  // namespace
}  // namespace chunkkv::kernels
