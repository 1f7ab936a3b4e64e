#pragma once

#include <chunkkv/observation.h>
#include <chunkkv/selection.h>
#include <chunkkv/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace chunkkv {

/// A cache-compression method: what it observes, how it scores, and what it always keeps.
/// Immutable and thread-safe.
class Method {
 public:
  virtual ~Method() = default;

  virtual ObservationRequest request() const { return {}; }
  /// Scores of one layer, [1 or n_head_kv][n_entries]. Must be finite.
  virtual Scores score(const LayerObservation& observation) const = 0;
  virtual SelectionRule rule(const Target& target) const = 0;
  /// Layer l scores only if l % reuse() == 0, else it takes the kept set of layer l - l % reuse().
  virtual std::int32_t reuse() const { return 1; }
  /// True for methods that give each layer a budget of its own (`layer_budget`). The engine's cache has
  /// equally many cells in all layers, so the surplus is masked (Uneven::mask).
  virtual bool layer_budgets() const { return false; }
  /// Entries that `layer` keeps where the layers keep `target.budget` on average; 1 .. n_entries.
  virtual std::int32_t layer_budget(const Target& target, std::int32_t /*layer*/,
                                    std::int32_t /*n_layer*/) const {
    return target.budget;
  }
  /// True for the method that never drops anything, whatever the budget.
  virtual bool keeps_all() const { return false; }

  /// Returns the same method with windows of at most `window` entries, for budgets that cannot hold its own;
  /// null when there is no such method. Methods of the registry with a parameter `window` have one: `window`
  /// and a number of `recent` tokens become smaller.
  virtual std::shared_ptr<const Method> with_window(std::int32_t window) const {
    return narrowed_ ? narrowed_(window) : nullptr;
  }

  /// Canonical spec string: the name, then every parameter that differs from its default. A method outside
  /// the registry is named with `set_spec` before it is shared.
  const std::string& spec() const { return spec_; }
  void set_spec(std::string spec) { spec_ = std::move(spec); }

 private:
  friend std::shared_ptr<const Method> make_method(std::string_view spec);
  std::string spec_ = "unnamed";
  std::function<std::shared_ptr<const Method>(std::int32_t)> narrowed_;
};

}  // namespace chunkkv
