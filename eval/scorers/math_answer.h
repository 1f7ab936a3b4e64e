#pragma once

#include <string>
#include <string_view>

/// GSM8K's answers are numbers, compared without commas and "$".
namespace chunkkv::eval {

/// 1 when the first match of `The answer is (\-?[0-9\.\,]+).` gives the right number as it is written, as in
/// lm-eval's strict-match; else 0. The final `.` matches any character, so a number at the end of a line that
/// no full stop follows loses its last digit.
double strict_math_answer(std::string_view answer, std::string_view right);

/// 1 when the last number in the answer has the right value, else 0.
double flexible_math_answer(std::string_view answer, std::string_view right);

}  // namespace chunkkv::eval
