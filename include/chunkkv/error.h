#pragma once

#include <stdexcept>

namespace chunkkv {

/// Something failed in the world: a file, a model, memory, the engine. The message says what to do.
/// Command-line tools exit with 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The caller asked for something that cannot be done: a spec, a budget, a prompt. The message says
/// what is allowed. Command-line tools exit with 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Work stopped because a progress callback asked for it. The cache holds what was finished.
class Interrupted : public Error {
 public:
  using Error::Error;
};

}  // namespace chunkkv
