#pragma once

#include "serve/engine/host_store.h"

#include <chunkkv/cache_file.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace chunkkv::serve {

/// Saved prompts in one folder, as cache files that `chunkkv cache` and `chunkkv run --cache` read as well. A
/// file is whole or not there, whatever happens while it is written. Thread-safe.
class PromptFiles {
 public:
  /// Is told, on any thread, which queued copy is not saved and why.
  using Report = std::function<void(const std::string&)>;

  /// With an empty `folder` nothing is saved. UsageError when the folder does not exist. `info` is what new
  /// files tell of program, engine and model; files that do not agree with `format` are left out.
  PromptFiles(std::string folder, CacheFileInfo info, CacheFormat format, Report report = {});
  ~PromptFiles();
  PromptFiles(const PromptFiles&) = delete;
  PromptFiles& operator=(const PromptFiles&) = delete;

  bool enabled() const { return !folder_.empty(); }

  struct Entry {
    std::string name;
    std::string key;
    std::vector<Token> tokens;
    std::int32_t n_entries = 0;
    std::int32_t n_compressed_tokens = 0;  ///< HostCopy::n_compressed_tokens
  };
  /// The saved prompts, among which a new prompt looks for its beginning.
  std::shared_ptr<const std::vector<Entry>> entries() const;

  /// Adds the prompt of this name to `entries` if another server has saved it meanwhile.
  void look_for(const std::string& name);
  /// Removes a prompt that cannot be read any more from `entries`; its file stays.
  void forget(const std::string& name) { index(name, nullptr); }

  /// Writes a copy and returns the size of its file. UsageError for a bad name or no folder, Error when it
  /// cannot be written.
  std::uint64_t save(const std::string& name, const HostCopy& copy);
  /// Queues a copy for `save` on a thread of its own, under its name or that of `name_for`. A full queue
  /// drops its oldest copy; this and errors are reported. UsageError as for `save`.
  void save_later(HostCopy copy);
  /// Reads a saved prompt. UsageError for a bad name, no such prompt or no folder, Error when it cannot be
  /// read or belongs to another model.
  HostCopy load(const std::string& name) const;
  /// Returns a name for a prompt without one, the same for the same tokens and key. Only the newest 64 of the
  /// files with such names stay.
  static std::string name_for(const HostCopy& copy);

 private:
  std::string path(const std::string& name) const;
  /// Removes the oldest files whose names begin like those of `name_for` when there are too many.
  void remove_old() const;
  /// Puts the copy in place of the entry of this name; null: nothing.
  void index(const std::string& name, const HostCopy* copy);
  void write_all();
  void report(const std::string& name, std::string_view why) const;

  std::string folder_;
  CacheFileInfo info_;
  CacheFormat format_;
  Report report_;
  mutable std::mutex mutex_;
  std::shared_ptr<const std::vector<Entry>> entries_ = std::make_shared<std::vector<Entry>>();
  std::deque<HostCopy> jobs_;  // copies to be saved
  std::condition_variable wake_;
  bool stops_ = false;
  std::thread writer_;
};

}  // namespace chunkkv::serve
