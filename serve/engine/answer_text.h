#pragma once

#include "text/utf8.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::serve {

/// Turns the tokens of an answer into text: whole characters, without what may become a stop text.
class AnswerText {
 public:
  explicit AnswerText(std::vector<std::string> stops);

  /// Adds the bytes of a token and returns the text that is certain now.
  std::string push(std::string_view bytes);
  /// Ends the answer and returns the rest of its text, for an end without a stop text.
  std::string finish();
  /// The stop text that was reached; empty: none yet.
  const std::string& stopped_by() const { return stopped_by_; }

 private:
  /// Returns the held text up to the first stop text, or up to an end that may become one.
  std::string take_certain();

  std::vector<std::string> stops_;
  text::Utf8Stream characters_;
  std::string held_;
  std::string stopped_by_;
};

}  // namespace chunkkv::serve
