#pragma once

#include "text/utf8.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::serve {

/// The text of an answer as it comes: whole characters, without what may turn out to be a stop text.
class AnswerText {
 public:
  explicit AnswerText(std::vector<std::string> stops);

  /// Takes the bytes of a token in and returns what is certain now.
  std::string push(std::string_view bytes);
  /// The rest, at an end that no stop text made.
  std::string finish();
  /// The stop text that was reached; empty: none yet.
  const std::string& stopped_by() const { return stopped_by_; }

 private:
  /// Cuts the held text at the first stop text in it.
  std::string take_certain();

  std::vector<std::string> stops_;
  text::Utf8Stream characters_;
  std::string held_;
  std::string stopped_by_;
};

}  // namespace chunkkv::serve
