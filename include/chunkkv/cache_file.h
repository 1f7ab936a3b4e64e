#pragma once

#include <chunkkv/cache.h>
#include <chunkkv/model_identity.h>
#include <chunkkv/snapshot.h>

#include <cstdint>
#include <string>
#include <vector>

/// Saves a sequence's cache as a file and loads it again; docs/cache-files.md describes the format.
namespace chunkkv {

class Session;

/// Version of the file format that is written, and the only one that can be read.
inline constexpr std::uint64_t kCacheFileFormat = 2;

/// Where a saved prompt ends.
enum class CacheEnd : std::uint8_t {
  text,    ///< in plain text
  user,    ///< in an open user message: the document is read, a question follows
  answer,  ///< after an answer of the model: the user's next message follows
};

/// What a cache file holds beside the cache itself.
struct CacheFileInfo {
  std::string chunkkv_version;
  std::string engine_version;
  std::uint64_t engine_format = 0;  ///< format of the engine's state, see `engine_state_format`
  std::int64_t created = 0;         ///< seconds since 1970, UTC

  ModelIdentity model;
  CacheParts parts;        ///< what the model's layers keep
  std::string model_name;  ///< for people
  std::string type_k, type_v;
  bool flash_attention = true;

  std::string method;  ///< spec of the method; for a source, of the method that it was read for
  std::string keep;    ///< budget; empty for a source
  std::string observer;
  std::int32_t n_compressions = 0;
  /// True for a whole document, from which a `Source` is made: nothing was dropped, and its last tokens,
  /// `rest`, are not read yet.
  bool is_source = false;

  CacheEnd end = CacheEnd::text;
  std::int32_t n_protected = 0;  ///< first tokens that every compression keeps, such as a system prompt
  std::vector<Token> rest;       ///< tokens that follow the snapshot's and are not read yet
  std::string tail;              ///< text that follows `rest` and is not split into tokens yet
};

struct CacheFile {
  CacheFileInfo info;
  Snapshot snapshot;
  std::uint64_t bytes = 0;           ///< size of the file
  std::uint64_t overhead_bytes = 0;  ///< part of `bytes` that is not the engine's state
};

/// Writes a temporary file beside `path` and renames it when it is complete and on the disk; until then a
/// file of that name is untouched. UsageError when the snapshot is empty or contradicts itself, Error when
/// the file cannot be written.
void save_cache_file(const std::string& path, const CacheFileInfo& info, const Snapshot& snapshot);

/// Loads a cache file and checks it. Error, which says what to do, when the file cannot be read, is no cache
/// file, is cut short or altered, has another format, or contradicts itself. Memory is bounded by the file's
/// real size, whatever sizes it claims.
CacheFile load_cache_file(const std::string& path);

/// Whether the file begins as a cache file does. Error when it cannot be read.
bool is_cache_file(const std::string& path);

/// What a cache file must agree with to be restored into a session.
struct CacheFormat {
  ModelIdentity model;
  std::string type_k, type_v;
  bool flash_attention = true;
  std::uint64_t engine_format = 0;
};

/// Error, which names `path` and says what to do, when the file's model, cache types, flash attention or
/// engine format differ from `format`.
void require_format(const CacheFileInfo& info, const std::string& path, const CacheFormat& format);

/// Version of the engine's own format of a sequence's cache (`Snapshot::state`).
std::uint64_t engine_state_format();

/// The format that a cache file must have to be restored into `session`. Error when the model's file can
/// no longer be read.
CacheFormat format_of(const Session& session);

}  // namespace chunkkv
