#include "tasks/haystack.h"

#include "text_breaks.h"
#include "unicode.h"

#include <algorithm>
#include <numeric>

namespace chunkkv::eval {
namespace {

/// Tokens after a cut that are looked at too, to see whether a sentence ends at the cut.
constexpr std::size_t kLookAhead = 128;

bool is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

std::string repeated(std::string_view text, std::size_t begin, std::size_t size) {
  std::string result(text.substr(begin, size));
  while (result.size() < size) {
    result += "\n\n";
    result += text.substr(0, size - std::min(size, result.size()));
  }
  return result;
}

/// Counts the tokens of a text part by part, without the special tokens that encoding adds to each part.
class TokenCount {
 public:
  explicit TokenCount(const Tokenizer& tokenizer)
      : tokenizer_(tokenizer), n_special_(tokenizer.encode("").size()) {}

  void add(std::string_view part) {
    if (!part.empty()) n_ += tokenizer_.encode(part).size() - n_special_;
  }
  std::size_t n() const { return n_; }

 private:
  const Tokenizer& tokenizer_;
  std::size_t n_special_, n_ = 0;
};

/// Byte offsets of the needles in the haystack; `order` lists the needles by ascending depth.
std::vector<std::size_t> places_of(std::string_view haystack, const std::vector<Needle>& needles,
                                   const std::vector<std::size_t>& order, const Tokenizer& tokenizer) {
  const std::vector<Token> tokens = tokenizer.encode(haystack);
  std::vector<std::size_t> places;
  std::size_t n_before = 0, near = 0;
  for (const std::size_t i : order) {
    const auto n = std::size_t(needles[i].depth * double(tokens.size()));
    near += tokenizer.decode(std::span(tokens).subspan(n_before, n - n_before)).size();
    n_before = n;
    const std::size_t place = place_near(haystack, needles[i].depth < 1 ? near : haystack.size());
    places.push_back(places.empty() ? place : std::max(places.back(), place));
  }
  return places;
}

}  // namespace

std::string cut_haystack(std::string_view text, std::size_t begin, std::size_t n_tokens,
                         const Tokenizer& tokenizer) {
  if (begin > 0) begin = place_after(text, begin);
  while (begin < text.size() && is_blank(text[begin])) ++begin;
  if (begin == text.size()) begin = 0;

  std::vector<Token> tokens;
  for (std::size_t size = 6 * (n_tokens + kLookAhead); tokens.size() < n_tokens; size *= 2)
    tokens = tokenizer.encode(without_cut_end(repeated(text, begin, size)));
  const std::span<const Token> all = tokens;
  const std::size_t size = tokenizer.decode(all.first(n_tokens)).size();
  const std::string more = tokenizer.decode(all.first(std::min(tokens.size(), n_tokens + kLookAhead)));
  const std::string_view whole = without_cut_end(more);
  std::string_view cut = whole.substr(0, place_before(whole, size));
  if (cut.empty()) cut = without_cut_end(whole.substr(0, size));
  while (!cut.empty() && is_blank(cut.back())) cut.remove_suffix(1);
  return std::string(cut);
}

std::string hide(std::string_view haystack, const std::vector<Needle>& needles, const Tokenizer& tokenizer,
                 std::vector<double>* reached) {
  std::vector<std::size_t> order(needles.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return needles[a].depth < needles[b].depth; });
  const std::vector<std::size_t> places = places_of(haystack, needles, order, tokenizer);

  std::string result;
  std::size_t done = 0;
  const auto go_on = [&](std::size_t at) {
    if (at == done) return;
    if (!result.empty() && !is_blank(haystack[done]))  // a needle stands before
      result += done > 0 && haystack[done - 1] == '\n' ? '\n' : ' ';
    result += haystack.substr(done, at - done);
    done = at;
  };
  for (std::size_t i = 0; i < order.size(); ++i) {
    go_on(places[i]);
    if (!result.empty() && !is_blank(result.back())) result += ' ';
    result += needles[order[i]].sentence;
  }
  go_on(haystack.size());
  if (reached == nullptr) return result;

  reached->assign(needles.size(), 0);
  TokenCount count(tokenizer);
  done = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    count.add(haystack.substr(done, places[i] - done));
    done = places[i];
    (*reached)[order[i]] = double(count.n());
  }
  count.add(haystack.substr(done));
  for (double& depth : *reached) depth /= double(std::max<std::size_t>(count.n(), 1));
  return result;
}

}  // namespace chunkkv::eval
