#include "tasks/truncate.h"

#include "unicode.h"

namespace chunkkv::eval {

void truncate_middle(std::string& document, std::string& question, std::int32_t max_length,
                     const Tokenizer& tokenizer) {
  if (max_length <= 0) return;
  const std::vector<Token> tokens = tokenizer.encode(document + question);
  if (tokens.size() <= std::size_t(max_length)) return;

  const std::span<const Token> all = tokens;
  const std::size_t half = std::size_t(max_length) / 2;
  const std::string first = tokenizer.decode(all.first(half)), last = tokenizer.decode(all.last(half));
  const std::string_view head = without_cut_end(first), tail = without_cut_begin(last);

  if (question.size() <= tail.size()) {
    const std::string_view end = without_cut_begin(tail.substr(tail.size() - question.size()));
    document = std::string(head) + std::string(tail.substr(0, tail.size() - end.size()));
    question = end;
  } else if (document.size() < head.size()) {
    question = std::string(head.substr(document.size())) + std::string(tail);
  } else {
    document = head;
    question = tail;
  }
}

}  // namespace chunkkv::eval
