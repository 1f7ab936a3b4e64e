#pragma once

#include <gtest/gtest.h>

#include <string>

namespace chunkkv::test {

/// The message of the `Exception` that `call` throws; a failure when it throws none.
template <class Exception, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Exception& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

/// Expects every part of `parts` in `message`.
inline void expect_mentions(const std::string& message, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << '"' << part << "\" is missing in: " << message;
}

}  // namespace chunkkv::test
