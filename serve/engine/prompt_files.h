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
#include <thread>
#include <vector>

namespace chunkkv::serve {

/// Saved prompts in one folder, as cache files that `chunkkv cache` and `chunkkv run --cache` read as well. A
/// file is whole or not there, whatever happens while it is written. Thread-safe.
class PromptFiles {
 public:
  /// An empty folder: nothing is saved. Error when the folder cannot be used. `info`: what a new file tells
  /// of program, engine and model.
  PromptFiles(std::string folder, CacheFileInfo info, CacheFormat format);
  ~PromptFiles();
  PromptFiles(const PromptFiles&) = delete;
  PromptFiles& operator=(const PromptFiles&) = delete;

  bool enabled() const { return !folder_.empty(); }

  struct Entry {
    std::string name;
    std::string key;
    std::vector<Token> tokens;
    std::int32_t n_entries = 0;
    std::int32_t n_first = 0;  ///< HostCopy::n_first
  };
  /// What is there, for finding what a prompt continues.
  std::shared_ptr<const std::vector<Entry>> entries() const;

  /// Takes in a prompt of this name that another server has saved meanwhile.
  void look_for(const std::string& name);
  /// Leaves out what cannot be read any more.
  void forget(const std::string& name);

  /// Writes a copy and returns the bytes. UsageError for a bad name or no folder, Error when it cannot be
  /// written.
  std::uint64_t save(const std::string& name, const HostCopy& copy);
  /// The same in the background; `done` is called with an error's message, or nothing.
  void save_later(std::string name, HostCopy copy,
                  std::function<void(std::string error, std::uint64_t bytes)> done = {});
  /// UsageError for a bad name or no folder, Error when it cannot be read or belongs to another model.
  HostCopy load(const std::string& name) const;
  /// A name for a prompt that has none: the same for the same tokens. Only the newest 64 of these stay.
  static std::string name_for(const HostCopy& copy);

 private:
  std::string path(const std::string& name) const;
  /// Removes the oldest of the prompts that were named by `name_for` when there are too many.
  void remove_old() const;
  void index(const std::string& name, const HostCopy& copy);
  void write_all();

  struct Job {
    std::string name;
    HostCopy copy;
    std::function<void(std::string, std::uint64_t)> done;
  };

  std::string folder_;
  CacheFileInfo info_;
  CacheFormat format_;
  mutable std::mutex mutex_;
  std::shared_ptr<const std::vector<Entry>> entries_ = std::make_shared<std::vector<Entry>>();
  std::deque<Job> jobs_;
  std::condition_variable wake_;
  bool stops_ = false;
  std::thread writer_;
};

}  // namespace chunkkv::serve
