#include "data/jsonl.h"

#include "base/blanks.h"
#include "base/standard_json.h"
#include "benchmark.h"
#include "data/files.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace chunkkv::eval {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

JsonLines::JsonLines(std::filesystem::path file) : file_(std::move(file)) {
  std::ifstream stream = open_file(file_);
  std::string text;
  std::uint64_t offset = 0;
  for (std::size_t number = 1; std::getline(stream, text); ++number) {
    const std::size_t skip = number == 1 && text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
    const std::string_view line = without_blanks(std::string_view(text).substr(skip));
    if (!line.empty())
      lines_.push_back({offset + std::uint64_t(line.data() - text.data()), line.size(), number});
    offset += text.size() + 1;
  }
}

Record JsonLines::at(std::size_t index) const {
  const Line& line = lines_.at(index);
  std::ifstream stream = open_file(file_);
  std::string text(line.length, '\0');
  stream.seekg(std::streamoff(line.offset));
  if (!stream.read(text.data(), std::streamsize(text.size())))
    throw Error(fmt::format("{}: cannot be read any more; the file changed", place(file_, line.number)));
  try {
    auto json = nlohmann::json::parse(standard_json(text), nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) json = nlohmann::json::parse(text);  // throws
    return {std::move(json), place(file_, line.number)};
  } catch (const nlohmann::json::parse_error& error) {
    throw BrokenRecord(
        fmt::format("{}: this is no JSON at byte {} of the line", place(file_, line.number), error.byte));
  } catch (const nlohmann::json::out_of_range&) {
    throw BrokenRecord(fmt::format("{}: a number is too large", place(file_, line.number)));
  }
}

}  // namespace chunkkv::eval
