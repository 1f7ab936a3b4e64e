#include "base/hash.h"

#define XXH_INLINE_ALL  // headers only: those who link chunkkv need no library
#include <xxhash.h>

#include <fmt/format.h>

#include <cstring>

namespace chunkkv {

struct Hash::State {
  XXH3_state_t xxh;
};

Hash::Hash() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(&state_->xxh);
}

Hash::~Hash() = default;

void Hash::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size());
}

Hash::Digest Hash::digest() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->xxh));
  Digest digest;
  std::memcpy(digest.data(), canonical.digest, digest.size());
  return digest;
}

std::string Hash::hex() const {
  std::string text;
  for (const std::byte byte : digest()) text += fmt::format("{:02x}", unsigned(byte));
  return text;
}

}  // namespace chunkkv
