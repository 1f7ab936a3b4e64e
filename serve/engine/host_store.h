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

/// A cache in host memory: a source, from which each question chooses anew, or a conversation that had to
/// leave its cells.
struct HostCopy {
  Snapshot snapshot;
  std::string key;   ///< KvSettings::key of its compression; "full": nothing was dropped
  std::string name;  ///< name of the prompt; may be empty
  std::int32_t n_protected = 0;
  bool is_source = false;

  bool is_whole() const { return snapshot.positions.empty(); }
  /// Entries that the last compression kept.
  std::int32_t n_kept() const {
    return is_whole() ? 0 : std::int32_t(snapshot.positions.front().front().size());
  }
  /// Tokens read up to the last compression; the copy cannot be cut among them.
  std::int32_t n_compressed_tokens() const {
    return std::int32_t(snapshot.tokens.size()) - (snapshot.n_entries - n_kept());
  }
  std::uint64_t bytes() const;
};

/// Copies of caches, never more than `most_bytes`: the least recently used leave first. Not thread-safe.
class HostStore {
 public:
  /// `on_evict` is called with each copy that must leave, before it is removed.
  HostStore(std::uint64_t most_bytes, std::function<void(const HostCopy&)> on_evict)
      : most_bytes_(most_bytes), on_evict_(std::move(on_evict)) {}

  /// Whether a copy of this size fits into the empty store.
  bool holds(std::uint64_t bytes) const { return bytes <= most_bytes_; }
  /// Adds a copy; it replaces the copies that it continues. Returns false, with nothing changed, when it does
  /// not fit beside the pinned copy.
  bool add(HostCopy copy);
  /// Keeps a copy in the store until `unpin`; null keeps none.
  void pin(const HostCopy* copy) { pinned_ = copy; }
  void unpin() { pinned_ = nullptr; }
  const std::list<HostCopy>& copies() const { return copies_; }
  /// Marks a copy as just used.
  void use(const HostCopy& copy);
  /// Removes a copy and returns it.
  HostCopy take(const HostCopy& copy);
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t most_bytes() const { return most_bytes_; }

 private:
  std::list<HostCopy>::iterator find(const HostCopy& copy);

  std::uint64_t most_bytes_, bytes_ = 0;
  const HostCopy* pinned_ = nullptr;
  std::function<void(const HostCopy&)> on_evict_;
  std::list<HostCopy> copies_;  // the most recently used first
};

}  // namespace chunkkv::serve
