// Texts: haystacks in which places for needles are looked for, and answers of models.
#include "base/standard_json.h"
#include "fuzz/target.h"
#include "scorers/scorers.h"
#include "text_breaks.h"
#include "unicode.h"

#include <string>

namespace {

using namespace chunkkv;
using fuzz::require;

void find_places(const std::string& text, std::size_t at) {
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  require(eval::place_before(text, at) <= at, "a place before is not after");
  require(eval::place_after(text, at) >= at, "a place after is not before");
  for (const auto place : {eval::place_before, eval::place_near, eval::place_after}) {
    const std::size_t found = place(text, at);
    require(found <= text.size(), "a place is in the text");
    require(eval::find_invalid_utf8(std::string_view(text).substr(found)) == std::string_view::npos,
            "a place is between characters");
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  eval::sounds_like_refusal(text);
  for (const auto score :
       {eval::strict_math_answer, eval::flexible_math_answer, eval::qa_f1, eval::rouge_l}) {
    const double value = score(text, text.substr(0, size / 2));
    require(value >= 0 && value <= 1, "a score is 0 to 1");
  }
  const std::string standard = standard_json(text);
  require(standard_json(standard) == standard, "standard JSON is itself");
  const std::string valid = eval::to_utf8(eval::code_points(text));  // haystacks are UTF-8
  for (const std::size_t at : {std::size_t{0}, valid.size() / 2, valid.size()}) find_places(valid, at);
  return 0;
}
