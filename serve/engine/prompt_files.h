#pragma once

#include "serve/engine/host_store.h"

#include <chunkkv/cache_file.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
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
  PromptFiles(std::string folder, CacheFileInfo info, CacheHome home);
  ~PromptFiles();
  PromptFiles(const PromptFiles&) = delete;
  PromptFiles& operator=(const PromptFiles&) = delete;

  bool enabled() const { return !folder_.empty(); }

  struct Entry {
    std::string name;
    std::string key;
    std::vector<Token> tokens;
    bool is_whole = false;
  };
  /// What is there, for finding what a prompt continues.
  std::vector<Entry> entries() const;

  /// Writes a copy and returns the bytes. UsageError for a bad name or no folder, Error when it cannot be
  /// written.
  std::uint64_t save(const std::string& name, const HostCopy& copy);
  /// The same in the background; `done` is called with an error's message, or nothing.
  void save_later(std::string name, HostCopy copy,
                  std::function<void(std::string error, std::uint64_t bytes)> done = {});
  /// UsageError for a bad name or no folder, Error when it cannot be read or belongs to another model.
  HostCopy load(const std::string& name) const;
  /// A name for a prompt that has none: the same for the same tokens.
  static std::string name_for(const HostCopy& copy);

 private:
  std::string path(const std::string& name) const;
  void index(const std::string& name, const HostCopy& copy);
  void write_all();

  struct Job {
    std::string name;
    HostCopy copy;
    std::function<void(std::string, std::uint64_t)> done;
  };

  std::string folder_;
  CacheFileInfo info_;
  CacheHome home_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
  std::deque<Job> jobs_;
  std::condition_variable wake_;
  bool stops_ = false;
  std::thread writer_;
};

}  // namespace chunkkv::serve
