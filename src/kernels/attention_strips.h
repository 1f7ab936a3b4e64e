#pragma once

#include "kernels/attention_received.h"

namespace chunkkv::kernels {
namespace {

/// Computes the strips of a block one after the other.
template <class A>
class StripsInTurn {
  using Work = AttentionWork<A>;
  using Item = typename Work::Item;
  static constexpr std::int64_t kLanes = A::kLanes;

 public:
  /// `received`: null if the attention that cells receive is not wanted.
  StripsInTurn(const Item& item, Received<A>* received) : item_(item), received_(received) {}

  /// Takes a strip of one tile: the cells from `begin` to `end` of the block that starts at `cell`.
  void take(const char* queries, std::int64_t tile, std::int64_t cell, std::int64_t begin, std::int64_t end) {
    typename Work::View view;
    Work::find_view(item_, tile, cell, begin, end, view);
    if (view.high == 0) return;
    const typename Work::Memory& memory = item_.memory;
    const AttentionTask& task = item_.task;
    const TileSums sums = memory.tile(tile, task.depth);
    Work::logits(item_, queries, begin, view);
    Softmax<A>::run(memory.logits, view.low, view.high, view.seen(), task.out != nullptr ? task.depth : 0,
                    sums, memory.weights, *this);
    if constexpr (A::kTotals > 0)
      if (received_ != nullptr) receive(tile, cell, begin, view);
    if (task.out != nullptr)
      A::add_values(memory.logits, memory.weights, memory.values, task.depth, begin + view.low,
                    begin + view.high, sums.values);
  }
  void finish() {}

  /// The soft max calls these two; there is no other work to do.
  void finish_values() {}
  CHUNKKV_INLINE void do_other_work() {}

 private:
  void receive(std::int64_t tile, std::int64_t cell, std::int64_t begin, const typename Work::View& view) {
    constexpr bool in_place = A::kWeightBytes == 0;  // weights take the logits' place
    const char* weights = in_place ? bytes(item_.memory.logits) : item_.memory.weights;
    const std::int64_t first = begin + view.low, n = view.high - view.low;
    if (char* kept = received_->keep(tile, cell + first, cell + first + n); kept != nullptr)
      std::memcpy(kept, weights, std::size_t(n) * ReceivedMemory<A>::kCellBytes);
    if (const char* factors = received_->after(tile, cell + first); factors != nullptr)
      A::add_received(weights, factors, n, received_->totals_of(tile, first));
  }

  const Item& item_;
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
  OverlappedStrips(const Item& item, Received<A>* received) : item_(item), received_(received) {}

  /// Takes a strip of one tile: the cells from `begin` to `end` of the block that starts at `cell`.
  void take(const char* queries, std::int64_t tile, std::int64_t cell, std::int64_t begin, std::int64_t end) {
    const std::int64_t depth = item_.task.depth, strip = A::strip(depth);
    Strip& next = strips_[turn_];
    Work::find_view(item_, tile, cell, begin, end, next.view);
    if (next.view.high == 0) return;
    next.tile = tile;
    next.cell = cell;
    next.begin = begin;
    next.logits = item_.memory.logits + turn_ * strip * kLanes;
    next.weights = item_.memory.weights + turn_ * strip * std::int64_t(A::kWeightBytes);
    if (received_ != nullptr)
      if (char* kept = received_->keep(tile, cell + begin + next.view.low, cell + begin + next.view.high))
        next.weights = kept;
    turn_ = 1 - turn_;
    logits_ = {queries, item_.memory.keys, depth, begin + next.view.low, begin + next.view.high, next.logits};
    run_soft_max();
    now_ = &next;
  }

  void finish() {
    run_soft_max();
    finish_values();
    finish_received();
  }

  /// The soft max calls this before it scales the sums of values.
  void finish_values() {
    while (values_.left() > 0) values_.next();
  }
  /// The soft max calls this after each pair of cells.
  CHUNKKV_INLINE void do_other_work() {
    for (due_ += steps_; due_ >= rows_; due_ -= rows_)
      if (values_.left() > 0)
        values_.next();
      else if (sums_.left() > 0)
        sums_.next();
      else if (logits_.left() > 0)
        logits_.next();
  }

 private:
  struct Strip {
    std::int64_t tile = 0, cell = 0, begin = 0;
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
      steps_ = values_.left() + sums_.left() + logits_.left();
      rows_ = (view.high - view.low) / 2;
      due_ = 0;
      Softmax<A>::run(now_->logits, view.low, view.high, view.seen(), task.out != nullptr ? task.depth : 0,
                      sums, now_->weights, *this);
    }
    finish_values();
    finish_received();
    while (logits_.left() > 0) logits_.next();
    if (now_ != nullptr && received_ != nullptr) receive(*now_);
    if (now_ != nullptr && task.out != nullptr)
      values_ = {now_->weights,
                 item_.memory.values,
                 task.depth,
                 now_->begin + now_->view.low,
                 now_->begin + now_->view.high,
                 item_.memory.tile(now_->tile, task.depth).values};
    now_ = nullptr;
  }

  void finish_received() {
    while (sums_.left() > 0) sums_.next();
  }
  void receive(const Strip& strip) {
    const std::int64_t first = strip.begin + strip.view.low;
    if (const char* factors = received_->after(strip.tile, strip.cell + first); factors != nullptr)
      sums_ = {strip.weights, factors, strip.view.high - strip.view.low,
               received_->totals_of(strip.tile, first)};
  }

  const Item& item_;
  Received<A>* received_;
  Strip strips_[2];
  Strip* now_ = nullptr;  // the strip whose logits are ready
  int turn_ = 0;          // which of the two strips, with its logits and weights, comes next
  typename A::Values values_;
  typename A::Received sums_;
  typename A::Logits logits_;
  std::int64_t steps_ = 0, rows_ = 1, due_ = 0;
};

}  // namespace
}  // namespace chunkkv::kernels
