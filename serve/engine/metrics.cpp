#include "serve/engine/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv::serve {
namespace {

template <class Number>
std::string metric(const char* name, const char* kind, const char* help, Number value) {
  return fmt::format("# HELP chunkkv_{0} {2}\n# TYPE chunkkv_{0} {1}\nchunkkv_{0} {3}\n", name, kind, help,
                     value);
}

}  // namespace

void Histogram::add(double seconds) {
  const auto at = std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin();
  ++counts_[std::size_t(at)];
  sum_ += seconds;
}

std::string Histogram::text(const std::string& name, const std::string& help) const {
  std::string text = fmt::format("# HELP chunkkv_{0} {1}\n# TYPE chunkkv_{0} histogram\n", name, help);
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    count += counts_[i];
    text += fmt::format("chunkkv_{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i], count);
  }
  count += counts_.back();
  text += fmt::format("chunkkv_{0}_bucket{{le=\"+Inf\"}} {1}\nchunkkv_{0}_sum {2}\nchunkkv_{0}_count {1}\n",
                      name, count, sum_);
  return text;
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  const Values& v = values_;
  std::string text;
  text += metric("cells_used", "gauge", "Cells of the cache that hold something.", v.cells_used);
  text += metric("cells_free", "gauge", "Cells of the cache that are free.", v.cells_total - v.cells_used);
  text += metric("cache_bytes", "gauge", "Bytes of keys and values in use.", v.cache_bytes);
  text += metric("source_bytes", "gauge", "Bytes of host memory that hold prompts and conversations.",
                 v.source_bytes);
  text += metric("conversations", "gauge", "Conversations that are live in the cache.", v.conversations);
  text += metric("requests_queued", "gauge", "Answers that wait for cells.", v.queued);
  text += metric("requests_reading", "gauge", "Answers whose prompt is being read.", v.reading);
  text += metric("requests_generating", "gauge", "Answers that are being generated.", v.generating);
  text += metric("tokens_read_total", "counter", "Prompt tokens read.", v.tokens_read);
  text +=
      metric("tokens_reused_total", "counter", "Prompt tokens that were not read again.", v.tokens_reused);
  text += metric("tokens_generated_total", "counter", "Tokens generated.", v.tokens_generated);
  text += metric("compressions_total", "counter", "Compressions of a sequence.", v.compressions);
  text += metric("requests_total", "counter", "Answers asked for.", v.requests);
  text += metric("requests_refused_total", "counter", "Answers refused for want of room or time.", v.refused);
  text += metric("requests_cancelled_total", "counter", "Answers whose client went away.", v.cancelled);
  text += v.first_token.text("first_token_seconds", "Time from a request to its first token.");
  text += v.between_tokens.text("between_tokens_seconds", "Time between the tokens of an answer.");
  return text;
}

}  // namespace chunkkv::serve
