#include "tasks/math_examples.h"

#include "benchmark.h"
#include "data/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <system_error>

namespace chunkkv::eval {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOriginal = "prompt_original.txt";

std::string without_notes(std::string text) {
  for (std::size_t begin = text.find("<<"); begin != text.npos; begin = text.find("<<", begin)) {
    const std::size_t end = text.find(">>", begin);
    if (end == text.npos) break;
    text.erase(begin, end + 2 - begin);
  }
  return text;
}

std::string on_one_line(std::string text) {
  while (text.ends_with('\n') || text.ends_with(' ') || text.ends_with('\r')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

const std::vector<MathExample>& own_examples() {
  static const std::vector<MathExample> all = {
      {"A baker has 24 rolls. He sells 9 in the morning and 6 in the afternoon. How many rolls are left?",
       "The baker sells 9 + 6 = 15 rolls in all. 24 - 15 = 9 rolls are left.", "9"},
      {"A train has 7 carriages with 40 seats each. 35 seats are empty. How many passengers are seated?",
       "There are 7 * 40 = 280 seats. 35 are empty, so 280 - 35 = 245 passengers are seated.", "245"},
      {"Ines reads 12 pages a day. Her book has 180 pages, and she has read a third of it. How many more "
       "days does she need?",
       "A third of 180 pages is 180 / 3 = 60 pages. 180 - 60 = 120 pages are left. At 12 pages a day that "
       "takes 120 / 12 = 10 days.",
       "10"},
      {"A pen costs $2 and a notebook costs three times as much. What do 4 pens and 2 notebooks cost?",
       "A notebook costs 3 * $2 = $6. 4 pens cost 4 * $2 = $8 and 2 notebooks cost 2 * $6 = $12. Together "
       "that is $8 + $12 = $20.",
       "20"},
      {"Omar is 5 years older than Lena. In 3 years Lena will be 14. How old is Omar now?",
       "Lena is 14 - 3 = 11 now. Omar is 11 + 5 = 16.", "16"},
      {"A tank holds 90 litres and is full. 4 litres run out every minute, and 1 litre is filled in every "
       "minute. How many minutes does it take until it is empty?",
       "Every minute the tank loses 4 - 1 = 3 litres. It is empty after 90 / 3 = 30 minutes.", "30"},
      {"In a class of 32 children, a quarter play chess, and half of the others sing. How many children "
       "sing?",
       "32 / 4 = 8 children play chess. 32 - 8 = 24 do not. Half of them, 24 / 2 = 12, sing.", "12"},
      {"Two shops sell the same lamp. One asks $60 less 20%. The other asks $50. How much does the cheaper "
       "one ask?",
       "20% of $60 is 60 * 0.2 = $12. So the first shop asks $60 - $12 = $48. The other one asks $50, so the "
       "cheaper one asks $48.",
       "48"},
  };
  return all;
}

/// Reads blocks of "Question: ...", a line that says to think, lines of reasoning, and "The answer is N.".
std::vector<MathExample> read_examples(const fs::path& file) {
  constexpr std::string_view kQuestion = "Question: ", kAnswer = "The answer is ";
  std::vector<MathExample> examples;
  std::istringstream stream(read_file(file));
  std::string line, reasoning;
  bool open = false;
  const auto fail = [&](std::size_t number) {
    throw UsageError(
        fmt::format("{}: this is not in the form of GSM8K's prompt_original.txt; take the original, or "
                    "remove the file to use our own examples",
                    place(file, number)));
  };
  std::size_t number = 0;
  while (std::getline(stream, line)) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    if (line.starts_with(kQuestion)) {
      if (open) fail(number);
      examples.push_back({line.substr(kQuestion.size()), {}, {}});
      reasoning.clear();
      open = true;
    } else if (!open) {
      fail(number);
    } else if (line.starts_with(kAnswer)) {
      MathExample& example = examples.back();
      example.reasoning = on_one_line(reasoning);
      example.answer = line.substr(kAnswer.size());
      if (example.answer.ends_with('.')) example.answer.pop_back();
      open = false;
    } else if (!line.starts_with("Let's think step by step")) {
      reasoning += line + ' ';
    }
  }
  if (open || examples.empty()) fail(number);
  return examples;
}

}  // namespace

MathExample math_example(const Record& record) {
  constexpr std::string_view kMark = "####";
  const std::string solution = record.text("answer");
  const std::size_t mark = solution.rfind(kMark);
  if (mark == solution.npos)
    throw BrokenRecord(record.source() + ": \"answer\" must end in #### and the number");
  std::string answer = solution.substr(mark + kMark.size());
  std::erase_if(answer, [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == ','; });
  return {record.text("question"), on_one_line(without_notes(solution.substr(0, mark))), answer};
}

bool has_original_examples(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / kOriginal, error);
}

std::vector<MathExample> chain_of_thought_examples(const fs::path& folder) {
  return has_original_examples(folder) ? read_examples(folder / kOriginal) : own_examples();
}

}  // namespace chunkkv::eval
