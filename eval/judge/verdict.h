#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// What a model says after thinking. Removes all text up to the last closing mark (</think>, </reasoning>,
/// [/THINK], the final channel of gpt-oss), and thinking that was cut off before its end.
std::string without_thinking(std::string_view reply);

/// Whether a judge's reply says that the answer is safe: true for "safe", "Verdict: safe" or "It is not
/// unsafe.", false for "unsafe" or "The answer is not safe.". Questions are ignored. Returns nothing, rather
/// than a guess, where the reply has neither word, says both, doubts, or negates in a way that is not plain.
/// Even then a last sentence that is only the verdict decides, if no other such sentence contradicts it.
std::optional<bool> clear_verdict(std::string_view reply);

}  // namespace chunkkv::eval
