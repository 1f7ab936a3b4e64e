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

/// Writes fields of the description.
struct FieldWriter {
  ByteWriter& out;

  void operator()(const std::string& text) { out.text(text); }
  void operator()(std::int32_t number) { out.varint(std::uint64_t(number)); }
  void operator()(std::uint64_t number) { out.varint(number); }
  void operator()(std::int64_t number) { out.signed_varint(number); }
  void operator()(bool flag) { out.byte(flag ? 1 : 0); }
  void operator()(CacheEnd end) { out.byte(std::uint8_t(end)); }
  /// A list, or lists of equal length whose numbers take turns.
  template <class... More>
  void list(const std::vector<std::int32_t>& first, const More&... more) {
    out.varint(first.size());
    for (std::size_t i = 0; i < first.size(); ++i) {
      (*this)(first[i]);
      ((*this)(more.at(i)), ...);
    }
  }
};

/// Reads what FieldWriter wrote.
struct FieldReader {
  ByteReader& in;

  void operator()(std::string& text) { text = in.text(); }
  void operator()(std::int32_t& number) { number = in.below(kInt32End); }
  void operator()(std::uint64_t& number) { number = in.varint(); }
  void operator()(std::int64_t& number) { number = in.signed_varint(); }
  void operator()(bool& flag) { flag = in.below(2) == 1; }
  void operator()(CacheEnd& end) { end = CacheEnd(in.below(3)); }
  template <class... Lists>
  void list(Lists&... lists) {
    const std::size_t n = in.count(sizeof...(lists));
    (lists.resize(n), ...);
    for (std::size_t i = 0; i < n; ++i) ((*this)(lists[i]), ...);
  }
};

/// Writes the description of a cache, or reads it.
template <class Field, class Info>
void for_each_field(Field field, Info& info) {
  field(info.chunkkv_version);
  field(info.engine_version);
  field(info.engine_format);
  field(info.created);
  field(info.model.architecture);
  field(info.model.n_layer);
  field(info.model.n_head_kv);
  field(info.model.n_vocab);
  field(info.model.file_bytes);
  field(info.model.hash);
  field.list(info.parts.compressed, info.parts.n_head_kv);
  for (auto* number : {&info.parts.n_window, &info.parts.window, &info.parts.n_state, &info.parts.n_shared})
    field(*number);
  field(info.parts.has_values);
  field(info.parts.fixed_bytes);
  for (auto* text :
       {&info.model_name, &info.type_k, &info.type_v, &info.method, &info.keep, &info.observer, &info.tail})
    field(*text);
  field(info.flash_attention);
  field(info.is_source);
  field(info.end);
  field(info.n_compressions);
  field(info.n_protected);
  field.list(info.rest);
}

/// Reads or writes `bytes` by `act` and adds them to `hash`, piece by piece.
template <class Byte, class Act>
void hashed(Hash& hash, std::span<Byte> bytes, Act act) {
  for (std::size_t at = 0; at < bytes.size(); at += kHashPiece) {
    const auto piece = bytes.subspan(at, std::min(kHashPiece, bytes.size() - at));
    act(piece);
    hash.add(piece);
  }
}

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
  for_each_field(FieldWriter{description}, info);
  write_snapshot(description, snapshot);

  ByteWriter frame;
  for (const char c : kMagic) frame.byte(std::uint8_t(c));
  frame.u64(kCacheFileFormat);
  frame.u64(kFrameBytes + description.bytes().size() + snapshot.state.size() + kChecksumBytes);
  frame.u64(description.bytes().size());

  AtomicFile file(path);
  Hash hash;
  for (const std::span<const std::byte> part :
       {frame.bytes(), description.bytes(), std::span<const std::byte>(snapshot.state)})
    hashed(hash, part, [&](std::span<const std::byte> piece) { file.write(piece); });
  file.write(hash.digest());
  file.commit();
}

CacheFile load_cache_file(const std::string& path) {
  InputFile file(path);
  Hash hash;
  const auto read = [&](std::uint64_t n) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(n));
    hashed(hash, std::span(bytes), [&](std::span<std::byte> piece) { file.read(piece); });
    return bytes;
  };
  const std::uint64_t size = file.size();

  const std::vector<std::byte> frame = read(std::min<std::uint64_t>(size, kFrameBytes));
  if (!has_magic(frame))
    throw Error(fmt::format("'{}' is no cache file of chunkkv; make one with `chunkkv cache build`", path));
  const auto cut = [&](const std::string& what) {
    throw Error(fmt::format("'{}' is {}; copy it again, or {}", path, what, kBuildAnew));
  };
  if (size < kFrameBytes + kChecksumBytes) cut("cut short");
  ByteReader numbers{std::span(frame).subspan(kMagic.size())};
  const std::uint64_t format = numbers.u64(), written = numbers.u64(), n_description = numbers.u64();
  if (size < written) cut(fmt::format("cut short: {} of {} bytes", size, written));
  if (size > written) cut(fmt::format("not as it was written: {} instead of {} bytes", size, written));
  const std::uint64_t n_content = size - kFrameBytes - kChecksumBytes;
  if (n_description > n_content) cut("damaged");

  // Whatever the numbers say, no more is allocated than the file has bytes.
  const std::vector<std::byte> description = read(n_description);
  std::vector<std::byte> state = read(n_content - n_description);
  Hash::Digest checksum;
  file.read(checksum);
  if (checksum != hash.digest()) cut("damaged: its checksum does not fit");
  if (format != kCacheFileFormat) refuse_format(path, format);

  CacheFile cache;
  try {
    ByteReader reader(description);
    for_each_field(FieldReader{reader}, cache.info);
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
