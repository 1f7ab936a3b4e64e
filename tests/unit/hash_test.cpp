#include "random_seed.h"
#include "store/file_hash.h"
#include "temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace chunkkv::test {
namespace {

std::string sampled(const std::string& path, std::uint64_t n_head) {
  Hash hash;
  add_sampled_file(hash, path, n_head);
  return hash.hex();
}

void set_byte(const std::string& path, std::uint64_t at, char value) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(std::streamoff(at));
  file.put(value);
}

// From xxHash's own test vectors.
TEST(HashTest, IsXxh3OfAnEmptyInput) {
  EXPECT_EQ(Hash().hex(), "99aa06d3014798d86001c324468d497f");
}

TEST(HashTest, DoesNotDependOnThePieces) {
  Random random;
  std::string text(5000, '\0');
  for (char& c : text) c = char(random.integer(0, 255));
  const auto bytes = std::as_bytes(std::span(text));
  Hash whole, pieces;
  whole.add(bytes);
  for (std::size_t at = 0; at < bytes.size();) {
    const auto n = std::min(std::size_t(random.integer(0, 700)), bytes.size() - at);
    pieces.add(bytes.subspan(at, n));
    at += n;
  }
  EXPECT_EQ(whole.hex(), pieces.hex());
}

TEST(FileHashTest, SeesEveryByteOfASmallFile) {
  const TemporaryFolder folder;
  const std::string path = folder.file("small");
  put(path, std::string(3000, 'a'));
  const std::string before = sampled(path, 10);
  EXPECT_EQ(before.size(), 32u);
  for (const std::uint64_t at : {0u, 9u, 10u, 1500u, 2999u}) {
    set_byte(path, at, 'b');
    EXPECT_NE(sampled(path, 10), before) << at;
    set_byte(path, at, 'a');
    EXPECT_EQ(sampled(path, 10), before) << at;
  }
}

TEST(FileHashTest, SamplesALargeFile) {
  const TemporaryFolder folder;
  const std::string path = folder.file("large");
  const std::uint64_t size = (std::uint64_t(5) << 30) + 12345, head = 1 << 20;  // the file is sparse
  put(path, "");
  std::filesystem::resize_file(path, size);
  const std::string before = sampled(path, head);
  // Bytes of the head, of the first sample, of the last one, which ends with the file, and of one between.
  const std::uint64_t step = (size - head - (64 << 10)) / 255;
  for (const std::uint64_t at : {std::uint64_t(0), head - 1, head, size - 1, head + 100 * step + 5000}) {
    set_byte(path, at, 'b');
    EXPECT_NE(sampled(path, head), before) << at;
    set_byte(path, at, '\0');
  }
  EXPECT_EQ(sampled(path, head), before);
  std::filesystem::resize_file(path, size + 1);
  EXPECT_NE(sampled(path, head), before);
}

}  // namespace
}  // namespace chunkkv::test
