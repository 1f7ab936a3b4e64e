#pragma once

#include <span>
#include <string>
#include <string_view>

/// Pure functions that score an answer, 0..1. Each agrees with a reference implementation.
namespace chunkkv::eval {

/// 1 / number of classes that the answer names when the right one is among them, else 0. A class whose name
/// is a part of the right one's does not count, unless it directly follows another such class in the list of
/// those named: LongBench's classification_score removes from the list that it iterates over, and so do we.
double classification(std::string_view answer, std::string_view right, std::span<const std::string> classes);

/// 1 - (insertions and deletions that turn one text into the other) / (characters of both); 1 for two empty
/// texts. It equals fuzz.ratio / 100 of PyPI `rapidfuzz`.
double indel_similarity(std::string_view a, std::string_view b);

/// Indel similarity of the reference and the answer's first line that is no comment or fence. LongBench's
/// code_sim_score, but with rapidfuzz's ratio: fuzzywuzzy's is rounded to whole percents.
double code_similarity(std::string_view answer, std::string_view reference);

// GSM8K's answers are numbers, compared without commas and "$".

/// 1 when the first match of `The answer is (\-?[0-9\.\,]+).` gives the right number as it is written, as in
/// lm-eval's strict-match; else 0. The final `.` matches any character, so a number at the end of a line that
/// no full stop follows loses its last digit.
double strict_math_answer(std::string_view answer, std::string_view right);

/// 1 when the last number in the answer has the right value, else 0.
double flexible_math_answer(std::string_view answer, std::string_view right);

/// Share of the answer's numbers (digit runs) that equal `right`; 0 if it has none. LongBench's count_score.
double number_share(std::string_view answer, std::string_view right);

/// Share of the answer's numbers that equal the one after "Paragraph " in the reference; 0 when the reference
/// has no such number. LongBench's retrieval_score.
double paragraph_share(std::string_view answer, std::string_view reference);

/// F1 of the words that both texts share, each counted as often as both have it. Texts are first lower-cased
/// and lose ASCII punctuation and articles. LongBench's qa_f1_score (arXiv 2308.14508), from SQuAD's.
double qa_f1(std::string_view answer, std::string_view reference);

/// F1 of the words (runs of a-z and 0-9, lower case) that answer and reference share. ROUGE-1 of PyPI
/// `rouge-score` without stemming, the score of needle tests.
double rouge_1(std::string_view answer, std::string_view reference);

/// Summary-level F score of longest common subsequences, as in PyPI `rouge` 1.0.1, which LongBench uses:
/// texts are split into sentences at each ".", words are compared exactly, and only distinct words are
/// counted. 0 when a text has no sentence. For sentences of about a thousand words the Python code reaches
/// its recursion limit and gives 0; this function scores them.
double rouge_l(std::string_view answer, std::string_view reference);

/// True when the answer contains a phrase that models refuse with. This is a proxy: it cannot tell a refusal
/// from harmful text after an apology, nor a harmless answer that refuses nothing from a harmful one.
bool sounds_like_refusal(std::string_view answer);

/// Share of the references that the answer contains, ignoring upper and lower case; 0 without references.
/// RULER's string match (arXiv 2404.06654).
double substring_share(std::string_view answer, std::span<const std::string> references);

/// Share of the reference's distinct words (as in rouge_1) that occur in the answer.
double word_share(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
