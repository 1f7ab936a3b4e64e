#include <chunkkv/cache_file.h>
#include <chunkkv/error.h>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "expect_throw.h"
#include "random_seed.h"
#include "store/bytes.h"
#include "store/snapshot_codec.h"
#include "temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <numeric>

namespace chunkkv::test {
namespace {

std::vector<Position> random_ascending(Random& random, std::int32_t count, std::int32_t end) {
  std::vector<Position> all(static_cast<std::size_t>(end));
  std::iota(all.begin(), all.end(), 0);
  for (std::size_t i = 0; i < all.size(); ++i)
    std::swap(all[i], all[std::size_t(random.integer(std::int32_t(i), end - 1))]);
  all.resize(std::size_t(count));
  std::sort(all.begin(), all.end());
  return all;
}

struct Shape {
  std::int32_t n_tokens = 40, n_kept = 12, n_new = 5;  // tokens read, entries kept of them, tokens read since
  std::int32_t n_layer = 3, n_lists = 2;
  std::size_t row_bytes = 16;
  bool compressed = true, sums = false;
};

Snapshot random_snapshot(Random& random, const Shape& shape) {
  Snapshot s;
  const std::int32_t n_read = shape.n_tokens + shape.n_new;
  for (std::int32_t i = 0; i < n_read; ++i) s.tokens.push_back(random.integer(0, 999));
  s.n_entries = shape.compressed ? shape.n_kept + shape.n_new : n_read;
  const auto n = std::size_t(s.n_entries);
  if (shape.compressed) {
    s.positions.resize(std::size_t(shape.n_layer));
    for (auto& layer : s.positions)
      for (std::int32_t h = 0; h < shape.n_lists; ++h)
        layer.push_back(random_ascending(random, shape.n_kept, shape.n_tokens));
  }
  s.order.resize(n);
  std::iota(s.order.begin(), s.order.end(), 0);
  s.cell_positions = random_ascending(random, s.n_entries - 1, n_read - 1);
  s.cell_positions.push_back(n_read - 1);
  for (int i = 0; i < 3; ++i) {
    const auto a = std::size_t(random.integer(0, s.n_entries - 1));
    const auto b = std::size_t(random.integer(0, s.n_entries - 1));
    std::swap(s.order[a], s.order[b]);
    std::swap(s.cell_positions[a], s.cell_positions[b]);
  }
  s.state.resize(n * shape.row_bytes);
  for (std::byte& byte : s.state) byte = std::byte(random.integer(0, 255));
  if (shape.sums)
    for (std::int32_t layer = 0; layer < shape.n_layer; layer += 2) {
      auto& sums = s.attention[layer];
      for (std::size_t i = 0; i < 4 * n; ++i) sums.push_back(random.real());
    }
  return s;
}

CacheParts parts_of(std::int32_t n_layer, std::int32_t n_head_kv) {
  CacheParts parts;
  for (std::int32_t layer = 0; layer < n_layer; ++layer) parts.compressed.push_back(layer);
  parts.n_head_kv.assign(std::size_t(n_layer), n_head_kv);
  return parts;
}

CacheFileInfo some_info() {
  return {.chunkkv_version = "0.1.0",
          .engine_version = "b1",
          .engine_format = 3,
          .created = 1700000000,
          .model = {"llama", 3, 2, 1000, 123456789, "0123456789abcdef0123456789abcdef"},
          .parts = parts_of(3, 2),
          .model_name = "tiny.gguf",
          .type_k = "f16",
          .type_v = "q8_0",
          .flash_attention = true,
          .method = "chunkkv:chunk=20",
          .keep = "10%",
          .observer = "question",
          .n_compressions = 7,
          .is_source = false,
          .end = CacheEnd::user,
          .n_protected = 4,
          .rest = {1, 2, 999},
          .tail = "\n\xC3\xA4"};
}

void expect_equal(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.n_entries, b.n_entries);
  EXPECT_EQ(a.positions, b.positions);
  EXPECT_EQ(a.order, b.order);
  EXPECT_EQ(a.cell_positions, b.cell_positions);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.attention, b.attention);
}

void expect_equal(const CacheFileInfo& a, const CacheFileInfo& b) {
  EXPECT_EQ(a.chunkkv_version, b.chunkkv_version);
  EXPECT_EQ(a.engine_version, b.engine_version);
  EXPECT_EQ(a.engine_format, b.engine_format);
  EXPECT_EQ(a.created, b.created);
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.model_name, b.model_name);
  EXPECT_EQ(a.type_k, b.type_k);
  EXPECT_EQ(a.type_v, b.type_v);
  EXPECT_EQ(a.flash_attention, b.flash_attention);
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.keep, b.keep);
  EXPECT_EQ(a.observer, b.observer);
  EXPECT_EQ(a.n_compressions, b.n_compressions);
  EXPECT_EQ(a.is_source, b.is_source);
  EXPECT_EQ(a.end, b.end);
  EXPECT_EQ(a.n_protected, b.n_protected);
  EXPECT_EQ(a.rest, b.rest);
  EXPECT_EQ(a.tail, b.tail);
}

/// `bytes` with the checksum at their end made right.
std::string repaired(std::string bytes) {
  const std::size_t n = bytes.size() - sizeof(Hash::Digest);
  Hash hash;
  hash.add(std::as_bytes(std::span(bytes.data(), n)));
  const Hash::Digest digest = hash.digest();
  std::memcpy(bytes.data() + n, digest.data(), digest.size());
  return bytes;
}

class CacheFileTest : public testing::Test {
 protected:
  std::string saved(const Snapshot& snapshot, const CacheFileInfo& info = some_info()) {
    save_cache_file(path, info, snapshot);
    return content(path);
  }
  std::string refusal(const std::string& bytes) {
    put(path, bytes);
    return message_of<Error>([&] { load_cache_file(path); });
  }

  Random random;
  TemporaryFolder folder;
  const std::string path = folder.file("document.kv");
};

TEST_F(CacheFileTest, ComesBackAsItWas) {
  for (int run = 0; run < 200; ++run) {
    Shape shape;
    shape.n_tokens = random.integer(1, 200);
    shape.n_kept = random.integer(1, shape.n_tokens);
    shape.n_new = random.integer(0, 20);
    shape.n_lists = random.integer(1, 2);
    shape.compressed = random.chance(0.7f);
    shape.sums = random.chance(0.3f);
    CacheFileInfo info = some_info();
    info.is_source = random.chance(0.5f);
    info.flash_attention = random.chance(0.5f);
    info.end = CacheEnd(random.integer(0, 2));
    const Snapshot snapshot = random_snapshot(random, shape);
    const std::string bytes = saved(snapshot, info);
    const CacheFile loaded = load_cache_file(path);
    expect_equal(loaded.snapshot, snapshot);
    expect_equal(loaded.info, info);
    EXPECT_EQ(loaded.bytes, bytes.size());
    EXPECT_EQ(loaded.bytes, loaded.overhead_bytes + snapshot.state.size());
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_TRUE(is_cache_file(path));
  EXPECT_EQ(folder.n_files(), 1u);
}

// The shape of SmolLM2-135M: 30 layers, 3 KV heads of 64, F16. Lists per head need the largest description.
TEST_F(CacheFileTest, ATenthOfThePromptTakesLittleMoreThanItsRows) {
  const std::size_t rows = 30 * 2 * 3 * 64 * 2, engine_bytes_a_cell = 12;
  const Snapshot snapshot = random_snapshot(random, {.n_tokens = 8000,
                                                     .n_kept = 800,
                                                     .n_new = 0,
                                                     .n_layer = 30,
                                                     .n_lists = 3,
                                                     .row_bytes = rows + engine_bytes_a_cell});
  CacheFileInfo info = some_info();
  info.model.n_layer = 30;
  info.parts = parts_of(30, 3);
  const double size = double(saved(snapshot, info).size());
  EXPECT_LT(size, 1.01 * double(800 * rows));
}

TEST_F(CacheFileTest, EveryTruncationIsRefused) {
  const std::string bytes = saved(random_snapshot(random, {.sums = true}));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const std::string message = refusal(bytes.substr(0, length));
    expect_mentions(message, {length < 8 ? "no cache file" : "cut short", "chunkkv cache build"});
    ASSERT_FALSE(HasFailure()) << length << " of " << bytes.size() << " bytes";
  }
  expect_mentions(refusal(bytes + "x"), {"not as it was written"});
}

TEST_F(CacheFileTest, EveryAlteredByteIsRefused) {
  const std::string bytes = saved(random_snapshot(random, {.sums = true}));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string altered = bytes;
    altered[at] = char(altered[at] ^ random.integer(1, 255));
    EXPECT_NE(refusal(altered), "") << "byte " << at;
    ASSERT_FALSE(HasFailure());
  }
  for (int run = 0; run < 300; ++run) {
    std::string altered = bytes;
    for (std::int32_t n = random.integer(1, 30); n > 0; --n)
      altered[std::size_t(random.integer(0, std::int32_t(bytes.size()) - 1))] = char(random.integer(0, 255));
    if (altered != bytes) refusal(altered);
    ASSERT_FALSE(HasFailure());
  }
}

// An accident does not leave a fitting checksum, but a file that somebody else made must do no harm either.
TEST_F(CacheFileTest, WithAFittingChecksumItIsRefusedOrSound) {
  const std::string bytes = saved(random_snapshot(random, {.n_tokens = 20, .n_kept = 6, .sums = true}));
  int n_refused = 0;
  for (int run = 0; run < 3000; ++run) {
    std::string altered = bytes;
    for (std::int32_t n = random.integer(1, 3); n > 0; --n)
      altered[std::size_t(random.integer(8, 400))] = char(random.integer(0, 255));
    put(path, repaired(altered));
    try {
      check_snapshot(load_cache_file(path).snapshot);
    } catch (const Error&) {
      ++n_refused;
    }
  }
  EXPECT_GT(n_refused, 0);
}

TEST_F(CacheFileTest, CountsAreCheckedBeforeAnythingIsAllocated) {
  for (const std::uint64_t count : {std::uint64_t(1) << 62, ~std::uint64_t(0), std::uint64_t(1) << 33}) {
    ByteWriter bytes;
    bytes.varint(count);
    bytes.u64(0);
    EXPECT_THROW(ByteReader(bytes.bytes()).count(), Error);
    EXPECT_THROW(ByteReader(bytes.bytes()).text(), Error);
    EXPECT_THROW(ByteReader(bytes.bytes()).floats(), Error);
    ByteReader reader(bytes.bytes());
    EXPECT_THROW(read_snapshot(reader), Error);
  }
  // The frame's own numbers are checked too: here it says that the description is larger than the file.
  std::string bytes = saved(random_snapshot(random, {}));
  const std::uint64_t huge = std::uint64_t(1) << 60;
  std::memcpy(bytes.data() + 24, &huge, sizeof huge);
  expect_mentions(refusal(repaired(bytes)), {"damaged"});
}

TEST_F(CacheFileTest, OtherFormatsAndOtherFilesSayWhatToDo) {
  std::string bytes = saved(random_snapshot(random, {}));
  bytes[8] = char(kCacheFileFormat + 1);
  expect_mentions(refusal(repaired(bytes)), {"format 3", "reads format 2", "newer chunkkv"});
  bytes[8] = char(kCacheFileFormat - 1);
  const std::string older = refusal(repaired(bytes));
  expect_mentions(older, {"format 1", "build it anew"});
  EXPECT_EQ(older.find("newer"), std::string::npos);

  expect_mentions(refusal("GGUF, or any other file that is longer than the frame"), {"no cache file"});
  EXPECT_FALSE(is_cache_file(path));
  expect_mentions(message_of<Error>([&] { load_cache_file(folder.file("none.kv")); }), {"none.kv"});
  expect_mentions(message_of<Error>([&] { load_cache_file(folder.file("")); }), {"regular file"});
}

TEST_F(CacheFileTest, ASnapshotThatContradictsItselfIsNotSaved) {
  const Snapshot good = random_snapshot(random, {.sums = true});
  const std::vector<std::function<void(Snapshot&)>> faults = {
      [](Snapshot& s) { s = {}; },
      [](Snapshot& s) { s.tokens.resize(3); },
      [](Snapshot& s) { s.tokens[0] = -1; },
      [](Snapshot& s) { s.order[0] = s.order[1]; },
      [](Snapshot& s) { s.cell_positions[0] = s.cell_positions[1]; },
      [](Snapshot& s) { *std::max_element(s.cell_positions.begin(), s.cell_positions.end()) = 1000; },
      [](Snapshot& s) { s.positions.clear(); },
      [](Snapshot& s) { s.positions[1].clear(); },
      [](Snapshot& s) { s.positions[1][0].pop_back(); },
      [](Snapshot& s) { std::swap(s.positions[1][0][3], s.positions[1][0][4]); },
      [](Snapshot& s) { s.positions[1][0].back() = std::int32_t(s.tokens.size()); },
      [](Snapshot& s) { s.attention[0].pop_back(); },
  };
  for (std::size_t i = 0; i < faults.size(); ++i) {
    Snapshot bad = good;
    faults[i](bad);
    EXPECT_THROW(save_cache_file(path, some_info(), bad), UsageError) << "fault " << i;
  }
  EXPECT_EQ(folder.n_files(), 0u);
}

TEST_F(CacheFileTest, AKilledWriterLeavesTheOldFile) {
  const std::string bytes = saved(random_snapshot(random, {}));
  const pid_t child = fork();
  if (child == 0) {
    AtomicFile file(path);
    file.write(std::string_view(bytes).substr(0, bytes.size() / 2));
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(content(path), bytes);
  load_cache_file(path);
}

TEST_F(CacheFileTest, AnAbandonedWriteLeavesNothing) {
  put(path, "old");
  {
    AtomicFile file(path);
    file.write("half of the n");
  }
  EXPECT_EQ(content(path), "old");
  EXPECT_EQ(folder.n_files(), 1u);
  EXPECT_THROW(save_cache_file(folder.file("none/x.kv"), some_info(), random_snapshot(random, {})), Error);
}

TEST(CacheFormatTest, AnotherModelOrCacheIsRefusedWithWhatToDo) {
  const CacheFileInfo info = some_info();
  const CacheFormat format{info.model, "f16", "q8_0", true, 3};
  require_format(info, "a.kv", format);
  const auto refusal = [&](auto&& change) {
    CacheFormat other = format;
    change(other);
    return message_of<Error>([&] { require_format(info, "a.kv", other); });
  };
  expect_mentions(refusal([](CacheFormat& h) { h.model.n_layer = 4; }),
                  {"a.kv", "another model", "tiny.gguf", "3 layers", "4 layers", "-m"});
  expect_mentions(refusal([](CacheFormat& h) { h.model.hash = "ff"; }), {"other weights", "hash ff", "-m"});
  expect_mentions(refusal([](CacheFormat& h) { h.model.file_bytes = 7; }), {"other weights", "7 bytes"});
  expect_mentions(refusal([](CacheFormat& h) { h.type_k = "q4_0"; }), {"-ctk f16 -ctv q8_0"});
  expect_mentions(refusal([](CacheFormat& h) { h.flash_attention = false; }), {"-fa on"});
  expect_mentions(refusal([](CacheFormat& h) { h.engine_format = 4; }), {"llama.cpp b1", "build it anew"});
}

}  // namespace
}  // namespace chunkkv::test
