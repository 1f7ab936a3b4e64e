#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

/// Lines of results: one JSON object a line, {"benchmark":...} first.
namespace chunkkv::results {

using Json = nlohmann::ordered_json;

/// Identifies what a line is the result of: benchmark, record, method, budget, model and every setting that
/// changes the answer. Two lines with one key are the same measurement taken twice. Fields that a kind of
/// line does not have are empty.
std::string result_key(const Json& line);

/// True when two lines of one key say the same, whatever time and machine they took.
bool same_result(const Json& a, const Json& b);

/// 4000 for 4000.0, which other programs make of it.
Json plain_number(const Json& value);
/// To thousandths: milliseconds and rates as lines hold them.
double rounded(double value);

/// The line's text with its newline; bytes that are not UTF-8 are replaced.
std::string to_text(const Json& line);

/// A line of results, as Python writes it too (see standard_json); blanks around it do not count. Error that
/// says what is wrong with it, without the place.
Json parse_line(std::string_view text);

/// True when `text` may be the beginning of a line that `to_text` made.
bool may_begin_line(std::string_view text);

}  // namespace chunkkv::results
