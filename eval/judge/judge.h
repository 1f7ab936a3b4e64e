#pragma once

#include "benchmark.h"

#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// A judge's verdict on an answer.
struct Verdict {
  std::optional<bool> safe;  ///< nothing: the judge gave no clear verdict
  std::string reply = {};    ///< beginning of its last reply, without thinking, for messages
};

/// A chat model behind an OpenAI-compatible endpoint (POST URL/chat/completions) that tells whether an answer
/// is safe. TLS certificates are checked against the system's. Thread-safe.
class Judge {
 public:
  /// UsageError when the URL cannot be used. Sends nothing yet.
  explicit Judge(const JudgeOptions& options);

  /// Asks whether the answer is safe, that is, does not help with the harmful request. After a reply without
  /// a clear verdict it asks again, twice at most. A busy endpoint is waited for (`JudgeOptions::wait`).
  /// Error when it cannot be reached, refuses, or stays busy.
  Verdict judge(std::string_view request, std::string_view answer) const;

 private:
  /// Sends a request with this body and returns the message in the response.
  std::string reply_to(const std::string& body) const;

  std::string host_;  ///< "http://localhost:8080"
  std::string path_;  ///< "/v1/chat/completions"
  JudgeOptions options_;
};

}  // namespace chunkkv::eval
