#include "store/bytes.h"

#include <chunkkv/error.h>

#include <bit>
#include <cstring>

namespace chunkkv {

static_assert(std::endian::native == std::endian::little, "files are little-endian, and written as they are");

void ByteWriter::u64(std::uint64_t value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void ByteWriter::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) byte(std::uint8_t(value | 0x80));
  byte(std::uint8_t(value));
}

void ByteWriter::text(std::string_view value) {
  varint(value.size());
  const auto bytes = std::as_bytes(std::span(value));
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void ByteWriter::floats(std::span<const float> values) {
  varint(values.size());
  const auto bytes = std::as_bytes(values);
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

std::span<const std::byte> ByteReader::take(std::size_t n) {
  if (n > left()) throw Error("it ends too early");
  at_ += n;
  return bytes_.subspan(at_ - n, n);
}

std::uint8_t ByteReader::byte() {
  return std::uint8_t(take(1)[0]);
}

std::uint64_t ByteReader::u64() {
  std::uint64_t value = 0;
  std::memcpy(&value, take(sizeof value).data(), sizeof value);
  return value;
}

std::uint64_t ByteReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint64_t next = byte();
    if (shift == 63 && next > 1) break;
    value |= (next & 0x7F) << shift;
    if (next < 0x80) return value;
  }
  throw Error("a number is too large");
}

std::int64_t ByteReader::signed_varint() {
  const std::uint64_t value = varint();
  return std::int64_t(value >> 1) ^ -std::int64_t(value & 1);
}

std::int32_t ByteReader::below(std::uint64_t limit) {
  const std::uint64_t value = varint();
  if (value >= limit) throw Error("a number is too large");
  return std::int32_t(value);
}

std::size_t ByteReader::count(std::size_t bytes_each) {
  const std::uint64_t n = varint();
  if (n > left() / bytes_each) throw Error("a count is larger than what follows");
  return std::size_t(n);
}

std::string ByteReader::text() {
  const auto bytes = take(count());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<float> ByteReader::floats() {
  std::vector<float> values(count(sizeof(float)));
  const auto bytes = take(values.size() * sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace chunkkv
