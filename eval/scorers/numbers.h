#pragma once

#include <string>
#include <string_view>

namespace chunkkv::eval {

/// Share of the answer's numbers (digit runs) that equal `right`; 0 if it has none. LongBench's count_score.
double number_share(std::string_view answer, std::string_view right);

/// Share of the answer's numbers that equal the one after "Paragraph " in the reference; 0 when the reference
/// has no such number. LongBench's retrieval_score.
double paragraph_share(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
