#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

/// Lines of results: one JSON object a line, {"benchmark":...} first.
namespace chunkkv::results {

using Json = nlohmann::ordered_json;

/// Identifies the measurement that a line is the result of: benchmark, record, method, budget, model and
/// every setting that changes the answer. Two lines with one key are the same measurement taken twice. Fields
/// that a kind of line does not have are empty.
std::string result_key(const Json& line);

/// True when two lines of one key agree in all but time, memory, machine, version and the model's name.
bool same_result(const Json& a, const Json& b);

/// 4000 for 4000.0, which other programs write instead; other values as they are.
Json plain_number(const Json& value);
/// Rounds to thousandths, as lines hold milliseconds and rates.
double rounded(double value);

/// The line's text with its newline; bytes that are not UTF-8 are replaced.
std::string to_text(const Json& line);

/// Parses a line of results, also one that Python wrote (see standard_json); blanks around it do not count.
/// Error says what is wrong with the line, without naming file and line.
Json parse_line(std::string_view text);

/// True when `text` may be the beginning of a line that `to_text` made.
bool may_begin_line(std::string_view text);

}  // namespace chunkkv::results
