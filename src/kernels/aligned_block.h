#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

namespace chunkkv::kernels {

/// A block of memory for kernels, aligned to 64 bytes. It only grows, by half of its size at least, since new
/// memory costs time when it is first used, and loses its contents when it does.
class AlignedBlock {
 public:
  AlignedBlock() = default;
  explicit AlignedBlock(std::size_t n) { reserve(n); }

  char* get() const { return memory_.get(); }
  /// Returns whether it has grown.
  bool reserve(std::size_t n) {
    if (n <= size_) return false;
    n = std::max(n, size_ + size_ / 2);
    memory_.reset();
    size_ = 0;  // stays 0 if the allocation throws
    memory_.reset(static_cast<char*>(::operator new[](n, std::align_val_t(64))));
    size_ = n;
    return true;
  }

 private:
  struct Free {
    void operator()(char* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  std::unique_ptr<char[], Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace chunkkv::kernels
