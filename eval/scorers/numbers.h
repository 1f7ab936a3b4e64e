#pragma once

#include <string>
#include <string_view>

namespace chunkkv::eval {

/// Share of the answer's numbers (runs of digits) that equal `right`; 0 without any. LongBench's count_score.
double number_share(std::string_view answer, std::string_view right);

/// The same for the number after "Paragraph " in the reference; 0 when it has none. LongBench's
/// retrieval_score.
double paragraph_share(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
