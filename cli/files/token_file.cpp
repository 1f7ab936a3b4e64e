#include "cli/files/token_file.h"

#include "cli/files/text_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace chunkkv::cli {

std::vector<std::int64_t> read_token_ids(const std::string& path) {
  const auto json = nlohmann::json::parse(read_text(path), nullptr, /*allow_exceptions=*/false);
  const auto is_id = [](const nlohmann::json& value) { return value.is_number_integer(); };
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), is_id)) {
    throw UsageError(
        fmt::format("'{}' is not a list of token ids; write a JSON array such as [1, 9906, 28]", path));
  }
  if (json.empty()) throw UsageError(fmt::format("'{}' holds no token ids; give at least one", path));
  return json.get<std::vector<std::int64_t>>();
}

std::vector<Token> to_tokens(const std::vector<std::int64_t>& ids, const Model& model) {
  const Token n_vocab = model.info().n_vocab;
  for (const std::int64_t id : ids) {
    if (id < 0 || id >= n_vocab) {
      throw UsageError(fmt::format("{} is no token of this model; its tokens are 0 to {}", id, n_vocab - 1));
    }
  }
  return {ids.begin(), ids.end()};
}

}  // namespace chunkkv::cli
