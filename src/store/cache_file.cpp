#include <chunkkv/cache_file.h>

#include <chunkkv/error.h>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "store/input_file.h"
#include "store/snapshot_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace chunkkv {
namespace {

// The frame is the same in all formats:
//   magic, format, bytes of the file, bytes of the description | description | engine's state | checksum
// The magic is not text, and breaks when line ends are converted.
constexpr std::string_view kMagic =
    "\x89"
    "CKV\r\n\x1a\n";
constexpr std::size_t kFrameBytes = 8 + 3 * sizeof(std::uint64_t);
constexpr std::size_t kChecksumBytes = sizeof(Hash::Digest);
constexpr std::size_t kHashPiece = 1 << 20;  // small enough to be in the processor's cache for the next step

constexpr std::string_view kBuildAnew = "build it anew with `chunkkv cache build`";

void write_identity(ByteWriter& out, const ModelIdentity& model) {
  out.text(model.architecture);
  out.varint(std::uint64_t(model.n_layer));
  out.varint(std::uint64_t(model.n_head_kv));
  out.varint(std::uint64_t(model.n_vocab));
  out.varint(model.file_bytes);
  out.text(model.hash);
}

ModelIdentity read_identity(ByteReader& in) {
  ModelIdentity model;
  model.architecture = in.text();
  model.n_layer = in.below(kInt32End);
  model.n_head_kv = in.below(kInt32End);
  model.n_vocab = in.below(kInt32End);
  model.file_bytes = in.varint();
  model.hash = in.text();
  return model;
}

void write_parts(ByteWriter& out, const CacheParts& parts) {
  out.varint(parts.compressed.size());
  for (std::size_t i = 0; i < parts.compressed.size(); ++i) {
    out.varint(std::uint64_t(parts.compressed[i]));
    out.varint(std::uint64_t(parts.n_head_kv.at(i)));
  }
  for (const std::int32_t number : {parts.n_window, parts.window, parts.n_state, parts.n_shared})
    out.varint(std::uint64_t(number));
  out.byte(parts.has_values ? 1 : 0);
  out.varint(parts.fixed_bytes);
}

CacheParts read_parts(ByteReader& in) {
  CacheParts parts;
  for (std::size_t left = in.count(2); left > 0; --left) {
    parts.compressed.push_back(in.below(kInt32End));
    parts.n_head_kv.push_back(in.below(kInt32End));
  }
  for (std::int32_t* number : {&parts.n_window, &parts.window, &parts.n_state, &parts.n_shared})
    *number = in.below(kInt32End);
  parts.has_values = in.below(2) == 1;
  parts.fixed_bytes = in.varint();
  return parts;
}

void write_info(ByteWriter& out, const CacheFileInfo& info) {
  out.text(info.chunkkv_version);
  out.text(info.engine_version);
  out.varint(info.engine_format);
  out.signed_varint(info.created);
  write_identity(out, info.model);
  write_parts(out, info.parts);
  for (const std::string* text :
       {&info.model_name, &info.type_k, &info.type_v, &info.method, &info.keep, &info.observer, &info.tail})
    out.text(*text);
  out.byte(info.flash_attention ? 1 : 0);
  out.byte(info.is_source ? 1 : 0);
  out.byte(std::uint8_t(info.end));
  out.varint(std::uint64_t(info.n_compressions));
  out.varint(std::uint64_t(info.n_protected));
  out.varint(info.rest.size());
  for (const Token token : info.rest) out.varint(std::uint64_t(token));
}

CacheFileInfo read_info(ByteReader& in) {
  CacheFileInfo info;
  info.chunkkv_version = in.text();
  info.engine_version = in.text();
  info.engine_format = in.varint();
  info.created = in.signed_varint();
  info.model = read_identity(in);
  info.parts = read_parts(in);
  for (std::string* text :
       {&info.model_name, &info.type_k, &info.type_v, &info.method, &info.keep, &info.observer, &info.tail})
    *text = in.text();
  info.flash_attention = in.below(2) == 1;
  info.is_source = in.below(2) == 1;
  info.end = CacheEnd(in.below(3));
  info.n_compressions = in.below(kInt32End);
  info.n_protected = in.below(kInt32End);
  info.rest.resize(in.count());
  for (Token& token : info.rest) token = in.below(kInt32End);
  return info;
}

/// Writes and hashes.
class HashedOutput {
 public:
  explicit HashedOutput(AtomicFile& file) : file_(file) {}

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto piece = bytes.first(std::min(bytes.size(), kHashPiece));
      hash_.add(piece);
      file_.write(piece);
      bytes = bytes.subspan(piece.size());
    }
  }
  Hash::Digest digest() const { return hash_.digest(); }

 private:
  AtomicFile& file_;
  Hash hash_;
};

/// Reads and hashes.
class HashedInput {
 public:
  explicit HashedInput(InputFile& file) : file_(file) {}

  std::vector<std::byte> read(std::size_t n) {
    std::vector<std::byte> bytes(n);
    for (std::size_t at = 0; at < n; at += kHashPiece) {
      const auto piece = std::span(bytes).subspan(at, std::min(kHashPiece, n - at));
      file_.read(piece);
      hash_.add(piece);
    }
    return bytes;
  }
  Hash::Digest digest() const { return hash_.digest(); }

 private:
  InputFile& file_;
  Hash hash_;
};

bool has_magic(std::span<const std::byte> begin) {
  return begin.size() >= kMagic.size() && std::memcmp(begin.data(), kMagic.data(), kMagic.size()) == 0;
}

[[noreturn]] void refuse_format(const std::string& path, std::uint64_t format) {
  throw Error(fmt::format("'{}' has format {}, this chunkkv reads format {}; {}{}", path, format,
                          kCacheFileFormat, format > kCacheFileFormat ? "use a newer chunkkv, or " : "",
                          kBuildAnew));
}

/// Error when what a session relies on does not fit the model that the file names.
void check_against_model(const CacheFile& cache) {
  const ModelIdentity& model = cache.info.model;
  const Snapshot& snapshot = cache.snapshot;
  const auto is_known = [&](Token token) { return token < model.n_vocab; };
  if (!std::all_of(snapshot.tokens.begin(), snapshot.tokens.end(), is_known) ||
      !std::all_of(cache.info.rest.begin(), cache.info.rest.end(), is_known))
    throw Error("it has tokens that its model does not have");
  const CacheParts& parts = cache.info.parts;
  const std::size_t n_layers = parts.compressed.size();
  if (n_layers == 0 || n_layers > std::size_t(model.n_layer) ||
      std::find(parts.n_head_kv.begin(), parts.n_head_kv.end(), 0) != parts.n_head_kv.end())
    throw Error("its model has no KV heads");
  bool fits = snapshot.positions.empty() || snapshot.positions.size() == n_layers;
  for (std::size_t layer = 0; fits && layer < snapshot.positions.size(); ++layer) {
    const std::size_t n_lists = snapshot.positions[layer].size();
    fits = n_lists == 1 || n_lists == std::size_t(parts.n_head_kv[layer]);
  }
  if (!fits) throw Error("it has other layers than its model");
  for (const auto& [key, sums] : snapshot.attention) {
    const auto layer = std::size_t(key % 65536);
    const std::size_t n_head = sums.size() / std::size_t(snapshot.n_entries);
    if (layer >= n_layers || n_head == 0 || n_head % std::size_t(parts.n_head_kv[layer]) != 0)
      throw Error("it has sums of attention that its model does not have");
  }
}

}  // namespace

void save_cache_file(const std::string& path, const CacheFileInfo& info, const Snapshot& snapshot) {
  try {
    check_snapshot(snapshot);
  } catch (const Error& error) {
    throw UsageError(fmt::format("this cache cannot be saved: {}", error.what()));
  }
  ByteWriter description;
  write_info(description, info);
  write_snapshot(description, snapshot);

  ByteWriter frame;
  for (const char c : kMagic) frame.byte(std::uint8_t(c));
  frame.u64(kCacheFileFormat);
  frame.u64(kFrameBytes + description.bytes().size() + snapshot.state.size() + kChecksumBytes);
  frame.u64(description.bytes().size());

  AtomicFile file(path);
  HashedOutput out(file);
  out.write(frame.bytes());
  out.write(description.bytes());
  out.write(snapshot.state);
  file.write(out.digest());
  file.commit();
}

CacheFile load_cache_file(const std::string& path) {
  InputFile file(path);
  HashedInput in(file);
  const std::uint64_t size = file.size();

  std::vector<std::byte> frame = in.read(std::size_t(std::min<std::uint64_t>(size, kFrameBytes)));
  if (!has_magic(frame))
    throw Error(fmt::format("'{}' is no cache file of chunkkv; make one with `chunkkv cache build`", path));
  const auto cut = [&](const std::string& what) {
    throw Error(fmt::format("'{}' is {}; copy it again, or {}", path, what, kBuildAnew));
  };
  if (size < kFrameBytes + kChecksumBytes) cut("cut short");
  ByteReader numbers{std::span<const std::byte>(frame).subspan(kMagic.size())};
  const std::uint64_t format = numbers.u64(), written = numbers.u64(), n_description = numbers.u64();
  if (size < written) cut(fmt::format("cut short: {} of {} bytes", size, written));
  if (size > written) cut(fmt::format("not as it was written: {} instead of {} bytes", size, written));
  const std::uint64_t n_content = size - kFrameBytes - kChecksumBytes;
  if (n_description > n_content) cut("damaged");

  // Whatever the numbers say, no more is allocated than the file has bytes.
  const std::vector<std::byte> description = in.read(std::size_t(n_description));
  std::vector<std::byte> state = in.read(std::size_t(n_content - n_description));
  Hash::Digest checksum;
  file.read(checksum);
  if (checksum != in.digest()) cut("damaged: its checksum does not fit");
  if (format != kCacheFileFormat) refuse_format(path, format);

  CacheFile cache;
  try {
    ByteReader reader(description);
    cache.info = read_info(reader);
    cache.snapshot = read_snapshot(reader);
    if (reader.left() > 0) throw Error("there is more in it than it tells");
    cache.snapshot.state = std::move(state);
    check_snapshot(cache.snapshot);
    check_against_model(cache);
  } catch (const Error& error) {
    throw Error(fmt::format("'{}' contradicts itself: {}; {}", path, error.what(), kBuildAnew));
  }
  cache.bytes = size;
  cache.overhead_bytes = size - cache.snapshot.state.size();
  return cache;
}

bool is_cache_file(const std::string& path) {
  InputFile file(path);
  std::vector<std::byte> begin(std::size_t(std::min<std::uint64_t>(file.size(), kMagic.size())));
  file.read(begin);
  return has_magic(begin);
}

void require_format(const CacheFileInfo& info, const std::string& path, const CacheFormat& format) {
  const auto refuse = [&](const std::string& reason) { throw Error(fmt::format("'{}' {}", path, reason)); };
  if (info.engine_format != format.engine_format)
    refuse(fmt::format("was made with llama.cpp {}, whose states have format {}; this one's have {}; {}",
                       info.engine_version, info.engine_format, format.engine_format, kBuildAnew));
  if (info.model != format.model) {
    const ModelIdentity &theirs = info.model, &ours = format.model;
    if (theirs.architecture != ours.architecture || theirs.n_layer != ours.n_layer ||
        theirs.n_head_kv != ours.n_head_kv || theirs.n_vocab != ours.n_vocab)
      refuse(fmt::format(
          "was made with another model: {} ({}, {} layers, {} KV heads, {} tokens), not {}, {} layers, {} KV "
          "heads, {} tokens; give that one with -m, or {}",
          info.model_name, theirs.architecture, theirs.n_layer, theirs.n_head_kv, theirs.n_vocab,
          ours.architecture, ours.n_layer, ours.n_head_kv, ours.n_vocab, kBuildAnew));
    refuse(
        fmt::format("was made with other weights of this architecture: {} ({} bytes, hash {}), not {} bytes "
                    "with hash {}; give that model with -m, or {}",
                    info.model_name, theirs.file_bytes, theirs.hash, ours.file_bytes, ours.hash, kBuildAnew));
  }
  if (info.type_k != format.type_k || info.type_v != format.type_v)
    refuse(fmt::format("holds {} keys and {} values; give -ctk {} -ctv {}, or {}", info.type_k, info.type_v,
                       info.type_k, info.type_v, kBuildAnew));
  if (info.flash_attention != format.flash_attention)
    refuse(fmt::format("was made {} flash attention; give -fa {}, or {}",
                       info.flash_attention ? "with" : "without", info.flash_attention ? "on" : "off",
                       kBuildAnew));
}

}  // namespace chunkkv
