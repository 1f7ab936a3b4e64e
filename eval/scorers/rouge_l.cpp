#include "scorers/scorers.h"
#include "unicode.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace chunkkv::eval {
namespace {

using WordNumber = std::int32_t;
using NumberedSentence = std::vector<WordNumber>;

/// Numbers words, so that they compare fast and sets of them are bit sets.
class Vocabulary {
 public:
  WordNumber number(const std::string& word) {
    return numbers_.try_emplace(word, WordNumber(numbers_.size())).first->second;
  }
  std::size_t size() const { return numbers_.size(); }

 private:
  std::unordered_map<std::string, WordNumber> numbers_;
};

/// Splits a text into sentences of numbered words. White space alone makes a sentence of one empty word.
std::vector<NumberedSentence> split_sentences(std::string_view text, Vocabulary& vocabulary) {
  std::vector<NumberedSentence> sentences;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('.'), text.size());
    if (end > 0) {
      std::vector<std::string> words = split_words(text.substr(0, end));
      if (words.empty()) words.emplace_back();
      NumberedSentence& sentence = sentences.emplace_back();
      for (const std::string& word : words) sentence.push_back(vocabulary.number(word));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return sentences;
}

class WordSet {
 public:
  explicit WordSet(std::size_t n_words) : member_(n_words) {}

  void insert(WordNumber word) {
    if (!member_[std::size_t(word)]) ++size_;
    member_[std::size_t(word)] = true;
  }
  std::size_t size() const { return size_; }

 private:
  std::vector<bool> member_;
  std::size_t size_ = 0;
};

/// Adds the words of a longest common subsequence of x and y. Where there are several, the choice changes the
/// score: the walk back from the end steps in y unless a step in x leaves a longer subsequence.
void add_common(const NumberedSentence& x, const NumberedSentence& y, WordSet& words) {
  const std::size_t width = y.size() + 1;
  std::vector<std::int32_t> length((x.size() + 1) * width, 0);  // [i][j]: for x's first i words, y's first j
  for (std::size_t i = 1; i <= x.size(); ++i) {
    const std::int32_t* above = &length[(i - 1) * width];
    std::int32_t* row = &length[i * width];
    for (std::size_t j = 1; j <= y.size(); ++j)
      row[j] = x[i - 1] == y[j - 1] ? above[j - 1] + 1 : std::max(above[j], row[j - 1]);
  }
  for (std::size_t i = x.size(), j = y.size(); i > 0 && j > 0;) {
    if (x[i - 1] == y[j - 1]) {
      words.insert(x[i - 1]);
      --i;
      --j;
    } else if (length[(i - 1) * width + j] > length[i * width + j - 1]) {
      --i;
    } else {
      --j;
    }
  }
}

std::size_t count_distinct(const std::vector<NumberedSentence>& sentences, std::size_t n_words) {
  WordSet words(n_words);
  for (const NumberedSentence& sentence : sentences)
    for (const WordNumber word : sentence) words.insert(word);
  return words.size();
}

}  // namespace

double rouge_l(std::string_view answer, std::string_view reference) {
  Vocabulary vocabulary;
  const std::vector<NumberedSentence> given = split_sentences(answer, vocabulary);
  const std::vector<NumberedSentence> wanted = split_sentences(reference, vocabulary);
  if (given.empty() || wanted.empty()) return 0;

  WordSet common(vocabulary.size());
  for (const NumberedSentence& w : wanted)
    for (const NumberedSentence& g : given) add_common(w, g, common);
  const double precision = double(common.size()) / double(count_distinct(given, vocabulary.size()));
  const double recall = double(common.size()) / double(count_distinct(wanted, vocabulary.size()));
  return 2 * (precision * recall / (precision + recall + 1e-8));
}

}  // namespace chunkkv::eval
