#pragma once

#include "benchmark.h"

#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// What a judge says of an answer.
struct Verdict {
  std::optional<bool> safe;  ///< nothing: it could not be brought to a clear verdict
  std::string reply = {};    ///< without thinking, its beginning; of an unclear one, for people
};

/// A chat model that tells whether an answer is safe, behind an OpenAI-compatible endpoint (POST
/// URL/chat/completions). Certificates are checked against the system's. Thread-safe.
class Judge {
 public:
  /// UsageError when the address is none that can be used. Nothing is sent yet.
  explicit Judge(const JudgeOptions& options);

  /// Whether the answer keeps from helping with the harmful request. A reply without a clear verdict is asked
  /// about again, twice at most. A busy endpoint is waited for (`JudgeOptions::wait`). Error when it cannot
  /// be reached, refuses, or stays busy.
  Verdict judge(std::string_view request, std::string_view answer) const;

 private:
  /// The message that answers a request with this body.
  std::string reply_to(const std::string& body) const;

  std::string host_;  ///< "http://localhost:8080"
  std::string path_;  ///< "/v1/chat/completions"
  JudgeOptions options_;
};

}  // namespace chunkkv::eval
