// Input of a chat: lines, pastes, blocks, commands.
#include "text/chat_input.h"
#include "fuzz/target.h"

#include <chunkkv/error.h>

#include <string>
#include <vector>

namespace {

using namespace chunkkv;
using fuzz::require;

/// The entries in `bytes`, given in pieces of `piece` bytes. A block "!" stands for a refused entry.
std::vector<text::ChatEntry> entries(std::string_view bytes, std::size_t piece, std::size_t longest_line) {
  text::EntryReader reader(longest_line);
  std::vector<text::ChatEntry> result;
  const auto take = [&] {
    while (true) {
      try {
        const auto entry = reader.next();
        if (!entry) return;
        result.push_back(*entry);
      } catch (const UsageError&) {
        result.push_back({"!", true});
      }
    }
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    reader.add(bytes.substr(at, piece));
    take();
  }
  reader.end();
  take();
  return result;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzz::as_text(data, size);
  const std::vector<text::ChatEntry> whole = entries(bytes, size + 1, 0);
  require(entries(bytes, 1, 0) == whole && entries(bytes, 7, 0) == whole,
          "entries do not depend on how the bytes come");
  std::size_t n_bytes = 0;
  for (const text::ChatEntry& entry : whole) {
    n_bytes += entry.text.size();
    const text::ChatLine line = text::parse_chat_line(entry);
    require(line.command.empty() || (!entry.is_block && line.command.front() == '/'), "blocks are questions");
    require(line.command.size() + line.text.size() <= entry.text.size(), "a line has nothing new");
    const std::string_view around = " \t\n";
    require(line.text.empty() || (around.find(line.text.front()) == around.npos &&
                                  around.find(line.text.back()) == around.npos),
            "no blanks stand around a question or an argument");
  }
  require(n_bytes <= bytes.size() + 1, "entries have nothing new");
  entries(bytes, 5, 16);
  return 0;
}
