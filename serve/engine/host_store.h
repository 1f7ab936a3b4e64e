#pragma once

#include <chunkkv/cache_file.h>
#include <chunkkv/session.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

namespace chunkkv::serve {

/// A cache in host memory: a whole prompt, to choose from anew, or a conversation that had to leave its
/// cells.
struct HostCopy {
  Snapshot snapshot;
  std::string key;   ///< KvSettings::key of what compressed it; "full": nothing was dropped
  std::string name;  ///< of the prompt; may be empty
  std::int32_t n_protected = 0;
  bool is_source = false;

  bool is_whole() const { return snapshot.positions.empty(); }
  /// Entries that the last compression kept.
  std::int32_t n_kept() const {
    return is_whole() ? 0 : std::int32_t(snapshot.positions.front().front().size());
  }
  /// Tokens read by then: nothing of them can be dropped alone.
  std::int32_t n_first() const {
    return std::int32_t(snapshot.tokens.size()) - (snapshot.n_entries - n_kept());
  }
  std::uint64_t bytes() const;
};

/// Copies within a bound of bytes that holds at every moment; the least recently used go first. Not
/// thread-safe.
class HostStore {
 public:
  /// `spill` gets what has to go.
  HostStore(std::uint64_t most_bytes, std::function<void(const HostCopy&)> spill)
      : most_bytes_(most_bytes), spill_(std::move(spill)) {}

  /// Whether so much could be held at all.
  bool holds(std::uint64_t bytes) const { return bytes <= most_bytes_; }
  /// Takes a copy in; what it continues is replaced. False when it is too large beside what is pinned.
  bool add(HostCopy copy);
  /// A copy that must not go until `unpin`; null is none.
  void pin(const HostCopy* copy) { pinned_ = copy; }
  void unpin() { pinned_ = nullptr; }
  const std::list<HostCopy>& copies() const { return copies_; }
  /// Marks a copy as just used.
  void use(const HostCopy& copy);
  HostCopy take(const HostCopy& copy);
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t most_bytes() const { return most_bytes_; }

 private:
  std::list<HostCopy>::iterator find(const HostCopy& copy);

  std::uint64_t most_bytes_, bytes_ = 0;
  const HostCopy* pinned_ = nullptr;
  std::function<void(const HostCopy&)> spill_;
  std::list<HostCopy> copies_;  // the most recently used first
};

}  // namespace chunkkv::serve
