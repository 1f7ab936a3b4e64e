#pragma once

#include "data/jsonl.h"

#include <filesystem>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// A worked example of grade-school mathematics.
struct MathExample {
  std::string question;
  std::string reasoning;  ///< sentences, on one line
  std::string answer;     ///< the number
};

/// Makes an example of a record in GSM8K's own form: "answer" ends in "#### number" and has calculator notes
/// in << >>, which are left out. BrokenRecord for another form.
MathExample math_example(const Record& record);

/// Whether the data folder has prompt_original.txt.
bool has_original_examples(const std::filesystem::path& folder);
/// The examples of prompt_original.txt, else eight of our own. UsageError with file and line when the file
/// has another form.
std::vector<MathExample> chain_of_thought_examples(const std::filesystem::path& folder);

}  // namespace chunkkv::eval
