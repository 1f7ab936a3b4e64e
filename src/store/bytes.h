#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// File bytes: fixed-size numbers in little-endian order, others as varints (7 bits a byte, low ones first).
namespace chunkkv {

/// Exclusive upper bound of the positions, tokens and counts in a file.
inline constexpr std::uint64_t kInt32End = std::uint64_t(1) << 31;

class ByteWriter {
 public:
  void byte(std::uint8_t value) { bytes_.push_back(std::byte(value)); }
  void u64(std::uint64_t value);
  void varint(std::uint64_t value);
  /// Small numbers of either sign become small varints.
  void signed_varint(std::int64_t value) { varint(std::uint64_t(value) << 1 ^ std::uint64_t(value >> 63)); }
  void text(std::string_view value);
  void floats(std::span<const float> values);

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Reads what ByteWriter wrote. Error when the bytes end too early or a number is larger than allowed; a
/// count is never larger than what the bytes left can hold, so nothing huge is allocated for it.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint8_t byte();
  std::uint64_t u64();
  std::uint64_t varint();
  std::int64_t signed_varint();
  std::string text();
  std::vector<float> floats();

  /// A varint below `limit`, which is at most 2^31.
  std::int32_t below(std::uint64_t limit);
  /// A count of items that take at least `bytes_each` bytes each.
  std::size_t count(std::size_t bytes_each = 1);

  std::size_t left() const { return bytes_.size() - at_; }

 private:
  std::span<const std::byte> take(std::size_t n);

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

}  // namespace chunkkv
