#pragma once

#include <string>
#include <string_view>

/// GSM8K's answers are numbers, compared without commas and "$".
namespace chunkkv::eval {

/// 1 when the first match of `The answer is (\-?[0-9\.\,]+).` gives the right number as it is written, as in
/// lm-eval's strict-match. The last character of the expression is any one: an answer that ends without a
/// full stop loses its last digit.
double strict_math_answer(std::string_view answer, std::string_view right);

/// 1 when the last number in the answer has the right value.
double flexible_math_answer(std::string_view answer, std::string_view right);

}  // namespace chunkkv::eval
