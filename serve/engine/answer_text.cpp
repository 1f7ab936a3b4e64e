#include "serve/engine/answer_text.h"

#include <algorithm>
#include <utility>

namespace chunkkv::serve {

AnswerText::AnswerText(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string AnswerText::push(std::string_view bytes) {
  held_ += characters_.push(std::string(bytes));
  return take_certain();
}

std::string AnswerText::finish() {
  if (!stopped_by_.empty()) return {};  // what follows a stop text is no part of the answer
  held_ += characters_.finish();
  const std::string certain = take_certain();
  return stopped_by_.empty() ? certain + std::exchange(held_, {}) : certain;
}

std::string AnswerText::take_certain() {
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at >= first) continue;
    first = at;
    stopped_by_ = stop;
  }
  if (first != std::string::npos) {
    std::string certain = held_.substr(0, first);
    held_.clear();
    return certain;
  }
  // The longest end of the text that may begin a stop text is held back until more text comes.
  std::size_t waits = 0;
  for (const std::string& stop : stops_)
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > waits; --n)
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) waits = n;
  std::string certain = held_.substr(0, held_.size() - waits);
  held_.erase(0, certain.size());
  return certain;
}

}  // namespace chunkkv::serve
