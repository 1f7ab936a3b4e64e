#include "store/file_hash.h"

#include "store/bytes.h"
#include "store/input_file.h"

#include <algorithm>
#include <vector>

namespace chunkkv {
namespace {

constexpr std::uint64_t kSamples = 256;
constexpr std::uint64_t kSampleBytes = 64 << 10;

void add_range(Hash& hash, InputFile& file, std::uint64_t begin, std::uint64_t end) {
  std::vector<std::byte> buffer(kSampleBytes);
  file.seek(begin);
  while (begin < end) {
    const std::span piece(buffer.data(), std::min<std::uint64_t>(buffer.size(), end - begin));
    file.read(piece);
    hash.add(piece);
    begin += piece.size();
  }
}

}  // namespace

std::uint64_t add_sampled_file(Hash& hash, const std::string& path, std::uint64_t n_head) {
  InputFile file(path);
  const std::uint64_t size = file.size();
  ByteWriter size_bytes;
  size_bytes.u64(size);
  hash.add(size_bytes.bytes());

  const std::uint64_t head = std::min(n_head, size);
  const std::uint64_t rest = size - head;
  if (rest <= kSamples * kSampleBytes) {
    add_range(hash, file, 0, size);
    return size;
  }
  add_range(hash, file, 0, head);
  // The first sample begins right after the head, the last one ends with the file.
  const std::uint64_t last = rest - kSampleBytes;
  const std::uint64_t step = last / (kSamples - 1), remainder = last % (kSamples - 1);
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    const std::uint64_t begin = head + i * step + i * remainder / (kSamples - 1);
    add_range(hash, file, begin, begin + kSampleBytes);
  }
  return size;
}

}  // namespace chunkkv
