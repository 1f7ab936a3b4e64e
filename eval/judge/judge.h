#pragma once

#include "benchmark.h"

#include <string>
#include <string_view>

namespace chunkkv::eval {

/// A chat model that tells whether an answer is safe, behind an OpenAI-compatible endpoint (POST
/// URL/chat/completions). Certificates are checked against the system's. Thread-safe.
class Judge {
 public:
  /// UsageError when the address is none that can be used. Nothing is sent yet.
  explicit Judge(const JudgeOptions& options);

  /// Whether the answer keeps from helping with the harmful request. Error when the endpoint cannot be
  /// reached, refuses, or gives no verdict.
  bool is_safe(std::string_view request, std::string_view answer) const;

 private:
  std::string host_;  ///< "http://localhost:8080"
  std::string path_;  ///< "/v1/chat/completions"
  std::string model_, key_;
};

}  // namespace chunkkv::eval
