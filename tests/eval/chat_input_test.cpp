#include "text/chat_input.h"

#include <chunkkv/error.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chunkkv::text {
namespace {

using Entries = std::vector<ChatEntry>;

Entries entries_of(EntryReader& reader, const std::string& bytes, std::size_t piece) {
  Entries result;
  const auto take = [&] {
    while (const auto entry = reader.next()) result.push_back(*entry);
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    reader.add(std::string_view(bytes).substr(at, piece));
    take();
  }
  reader.end();
  take();
  return result;
}

void expect_entries(const std::string& bytes, const Entries& expected) {
  for (const std::size_t piece : {std::size_t(1), std::size_t(3), bytes.size()}) {
    EntryReader reader;
    EXPECT_TRUE(entries_of(reader, bytes, piece) == expected) << bytes << " in pieces of " << piece;
  }
}

TEST(EntryReader, CutsLines) {
  expect_entries("one\r\n\ntwo\nlast", {{"one"}, {""}, {"two"}, {"last"}});
}

TEST(EntryReader, TakesPastesAsOne) {
  expect_entries("see \x1b[200~a\r\nb\rc\x1b[201~ there\nnext\n", {{"see a\nb\nc there", true}, {"next"}});
  expect_entries("\x1b[200~one line\x1b[201~\n", {{"one line"}});
  expect_entries("\x1b[200~has no end\n/quit", {{"has no end\n/quit", true}});
  expect_entries("\x1b[20 is no mark\n", {{"\x1b[20 is no mark"}});
}

TEST(EntryReader, TakesBlocksAsOne) {
  expect_entries("\"\"\"\none\n/two\n\"\"\"\nnext\n", {{"\none\n/two\n", true}, {"next"}});
  expect_entries("\"\"\"one\"\"\"\n", {{"one", true}});
}

TEST(EntryReader, RefusesABlockWithoutAnEnd) {
  EntryReader reader;
  reader.add("\"\"\"one\ntwo\n");
  EXPECT_EQ(reader.next(), std::nullopt);
  reader.end();
  EXPECT_THROW(reader.next(), UsageError);
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(EntryReader, RefusesALineThatWasCut) {
  EntryReader reader(10);
  reader.add("123456789\n1234567890\nnext\n");
  EXPECT_EQ(reader.next()->text, "123456789");
  EXPECT_THROW(reader.next(), UsageError);
  EXPECT_EQ(reader.next()->text, "next");
}

TEST(EntryReader, ReadsLongInputInLinearTime) {
  const std::string line(1 << 20, 'x');  // quadratic work would be 128 GiB of comparing
  expect_entries(line + "\n" + line, {{line}, {line}});
}

TEST(ChatLine, TellsCommandsFromQuestions) {
  const auto parsed = [](const ChatEntry& entry) {
    const ChatLine line = parse_chat_line(entry);
    return line.command + "|" + line.text;
  };
  EXPECT_EQ(parsed({" /keep\t 20% \n"}), "/keep|20%");
  EXPECT_EQ(parsed({"/stats"}), "/stats|");
  EXPECT_EQ(parsed({" Why? "}), "|Why?");
  EXPECT_EQ(parsed({"//etc is what?"}), "|/etc is what?");
  EXPECT_EQ(parsed({"/quit\nnow", true}), "|/quit\nnow");
  EXPECT_EQ(parsed({" \t\n"}), "|");
}

}  // namespace
}  // namespace chunkkv::text
