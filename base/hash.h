#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace chunkkv {

/// XXH3-128 of what is added, in its canonical byte order.
class Hash {
 public:
  using Digest = std::array<std::byte, 16>;

  Hash();
  ~Hash();

  void add(std::span<const std::byte> bytes);
  Digest digest() const;
  /// 32 hexadecimal digits.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace chunkkv
