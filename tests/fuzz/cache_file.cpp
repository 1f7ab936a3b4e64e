// Cache files with a right frame and checksum around any content. The first four bytes of an input say how
// long the description is, the rest is description and state.
#include "base/hash.h"
#include "fuzz/memory_file.h"
#include "fuzz/target.h"
#include "store/bytes.h"
#include "store/snapshot_codec.h"

#include <chunkkv/cache_file.h>
#include <chunkkv/error.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

using namespace chunkkv;
using fuzz::require;

void append(std::vector<std::uint8_t>& file, const void* bytes, std::size_t n) {
  const auto* first = static_cast<const std::uint8_t*>(bytes);
  file.insert(file.end(), first, first + n);
}

std::vector<std::uint8_t> with_frame(std::span<const std::uint8_t> description,
                                     std::span<const std::uint8_t> state) {
  std::vector<std::uint8_t> file;
  append(file,
         "\x89"
         "CKV\r\n\x1a\n",
         8);
  const std::uint64_t n_file = 32 + description.size() + state.size() + 16;
  for (const std::uint64_t number : {kCacheFileFormat, n_file, std::uint64_t(description.size())})
    append(file, &number, sizeof number);
  append(file, description.data(), description.size());
  append(file, state.data(), state.size());
  Hash hash;
  hash.add(std::as_bytes(std::span(file)));
  const Hash::Digest digest = hash.digest();
  append(file, digest.data(), digest.size());
  return file;
}

std::vector<std::byte> encoded(const Snapshot& snapshot) {
  ByteWriter out;
  write_snapshot(out, snapshot);
  return {out.bytes().begin(), out.bytes().end()};
}

void check(const CacheFile& cache) {
  const Snapshot& s = cache.snapshot;
  require(s.n_entries > 0 && s.order.size() == std::size_t(s.n_entries), "a cache that is read has entries");
  for (const Token token : s.tokens) require(token < cache.info.model.n_vocab, "tokens are the model's");
  const std::vector<std::byte> bytes = encoded(s);
  ByteReader reader(bytes);
  require(encoded(read_snapshot(reader)) == bytes, "what is read is written alike");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::uint32_t n_description = 0;
  if (size < sizeof n_description) return 0;
  std::memcpy(&n_description, data, sizeof n_description);
  const std::span<const std::uint8_t> content(data + sizeof n_description, size - sizeof n_description);
  const std::size_t n = std::min<std::size_t>(n_description, content.size());
  const fuzz::MemoryFile file(with_frame(content.first(n), content.subspan(n)));
  try {
    check(load_cache_file(file.path()));
  } catch (const Error&) {
  }
  return 0;
}
