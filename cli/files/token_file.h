#pragma once

#include <chunkkv/session.h>

#include <cstdint>
#include <string>
#include <vector>

namespace chunkkv::cli {

/// Token ids of a file that holds a JSON array of whole numbers. Error when it cannot be read, UsageError
/// when it holds something else or nothing.
std::vector<std::int64_t> read_token_ids(const std::string& path);

/// The ids as tokens of `model`. UsageError for an id outside its vocabulary.
std::vector<Token> to_tokens(const std::vector<std::int64_t>& ids, const Model& model);

}  // namespace chunkkv::cli
