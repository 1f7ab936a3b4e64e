#pragma once

#include <chunkkv/cache.h>
#include <chunkkv/model_identity.h>
#include <chunkkv/snapshot.h>

#include <cstdint>
#include <string>
#include <vector>

/// A sequence of a cache as a file; docs/cache-files.md describes the format.
namespace chunkkv {

class Session;

/// The format that is written, and the only one that is read.
inline constexpr std::uint64_t kCacheFileFormat = 2;

/// Where a saved prompt ends.
enum class CacheEnd : std::uint8_t {
  text,    ///< in plain text
  user,    ///< in an open message of the user: the document is read, a question is to follow
  answer,  ///< after what the model answered: the user's next message is to follow
};

/// What a cache file tells beside the cache itself.
struct CacheFileInfo {
  std::string chunkkv_version;
  std::string engine_version;
  std::uint64_t engine_format = 0;  ///< of the engine's part, `engine_state_format`
  std::int64_t created = 0;         ///< seconds since 1970, UTC

  ModelIdentity model;
  CacheParts parts;        ///< what the model's layers keep
  std::string model_name;  ///< for people
  std::string type_k, type_v;
  bool flash_attention = true;

  std::string method;  ///< spec; of a source, the method that it was read for
  std::string keep;    ///< budget; empty for a source
  std::string observer;
  std::int32_t n_compressions = 0;
  /// The whole document for `Source`: nothing was dropped, and its last tokens, `rest`, are not read yet.
  bool is_source = false;

  CacheEnd end = CacheEnd::text;
  std::int32_t n_protected = 0;  ///< first tokens that every compression keeps, a system prompt
  std::vector<Token> rest;       ///< tokens that follow those of the snapshot
  std::string tail;              ///< text that follows these and is not split into tokens yet
};

struct CacheFile {
  CacheFileInfo info;
  Snapshot snapshot;
  std::uint64_t bytes = 0;           ///< of the whole file
  std::uint64_t overhead_bytes = 0;  ///< of them, all that is not the engine's state
};

/// Writes the file beside `path` and gives it its name when it is complete and on the disk; what had the name
/// is untouched until then. UsageError when the snapshot is empty or contradicts itself, Error when the
/// file cannot be written.
void save_cache_file(const std::string& path, const CacheFileInfo& info, const Snapshot& snapshot);

/// Error, with what to do about it, when the file cannot be read, is no cache file, is cut short or altered,
/// has another format, or contradicts itself. Memory is bounded by the file's real size, whatever it says.
CacheFile load_cache_file(const std::string& path);

/// True when a file begins as a cache file does.
bool is_cache_file(const std::string& path);

/// What a cache must agree with to be restored.
struct CacheFormat {
  ModelIdentity model;
  std::string type_k, type_v;
  bool flash_attention = true;
  std::uint64_t engine_format = 0;
};

/// Error, with what to do about it, when the cache is another model's, has other types or comes from an
/// engine that writes otherwise. `path` is named in the message.
void require_format(const CacheFileInfo& info, const std::string& path, const CacheFormat& format);

/// The format of the engine's part of a snapshot.
std::uint64_t engine_state_format();

/// Where a session's caches belong.
CacheFormat format_of(const Session& session);

}  // namespace chunkkv
