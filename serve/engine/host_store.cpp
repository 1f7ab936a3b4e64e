#include "serve/engine/host_store.h"

#include <algorithm>
#include <utility>

namespace chunkkv::serve {
namespace {

/// Whether `whole` begins with all of `part`.
bool continues(const std::vector<Token>& whole, const std::vector<Token>& part) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

}  // namespace

std::uint64_t HostCopy::bytes() const {
  std::uint64_t bytes = snapshot.state.size() + snapshot.tokens.size() * sizeof(Token) +
                        (snapshot.order.size() + snapshot.cell_positions.size()) * 4;
  for (const auto& layer : snapshot.positions)
    for (const auto& list : layer) bytes += list.size() * sizeof(Position);
  for (const auto& [layer, sums] : snapshot.attention) bytes += sums.size() * sizeof(float);
  return bytes;
}

bool HostStore::add(HostCopy copy) {
  const std::uint64_t bytes = copy.bytes();
  if (bytes + (pinned_ != nullptr ? pinned_->bytes() : 0) > most_bytes_) return false;
  std::erase_if(copies_, [&](const HostCopy& old) {
    const bool is_replaced = old.key == copy.key && old.is_source == copy.is_source && &old != pinned_ &&
                             (old.name.empty() || old.name == copy.name) &&
                             continues(copy.snapshot.tokens, old.snapshot.tokens);
    if (is_replaced) bytes_ -= old.bytes();
    return is_replaced;
  });
  while (bytes_ + bytes > most_bytes_) {
    auto oldest = std::prev(copies_.end());
    if (&*oldest == pinned_) --oldest;
    if (on_evict_) on_evict_(*oldest);
    bytes_ -= oldest->bytes();
    copies_.erase(oldest);
  }
  bytes_ += bytes;
  copies_.push_front(std::move(copy));
  return true;
}

std::list<HostCopy>::iterator HostStore::find(const HostCopy& copy) {
  return std::find_if(copies_.begin(), copies_.end(), [&](const HostCopy& other) { return &other == &copy; });
}

void HostStore::use(const HostCopy& copy) {
  copies_.splice(copies_.begin(), copies_, find(copy));
}

HostCopy HostStore::take(const HostCopy& copy) {
  const auto it = find(copy);
  if (&copy == pinned_) unpin();
  bytes_ -= it->bytes();
  HostCopy taken = std::move(*it);
  copies_.erase(it);
  return taken;
}

}  // namespace chunkkv::serve
