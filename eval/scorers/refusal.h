#pragma once

#include <string_view>

namespace chunkkv::eval {

/// True when the answer contains a phrase that models refuse with. This is a proxy: it cannot tell a refusal
/// from harmful text after an apology, nor a harmless answer that refuses nothing from a harmful one.
bool sounds_like_refusal(std::string_view answer);

}  // namespace chunkkv::eval
