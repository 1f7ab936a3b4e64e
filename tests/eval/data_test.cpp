#include "data/csv.h"
#include "data/jsonl.h"
#include "data/text.h"
#include "eval/support.h"
#include "unicode.h"

namespace chunkkv::eval {
namespace {

using test::expect_holds;
using test::Folder;
using test::message_of;
using Fields = std::vector<std::string>;

TEST(JsonLines, ReadsRecordsInAnyOrderAndSkipsBlankLines) {
  const Folder folder;
  const JsonLines lines(
      folder.write("x.jsonl", "\xEF\xBB\xBF{\"a\": \"é\"}\r\n\n  \n{\"a\": \"2\"}\n{\"a\": null}"));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines.at(1).text("a"), "2");
  EXPECT_EQ(lines.at(0).text("a"), "é");
  EXPECT_EQ(lines.at(2).text_or_empty("a"), "");
  expect_holds(lines.at(1).source(), "x.jsonl', line 4");
}

TEST(JsonLines, TakesWhatPythonWritesAndPowerCutsLeave) {
  const Folder folder;
  const JsonLines lines(folder.write(
      "x.jsonl", R"({"_id": 7, "length": NaN, "context": "a \ud83d b", "more": [Infinity, "NaN"]}  )"
                 "\r\n"
                 R"({"_id": "8", "length": 3})" +
                     std::string(50, '\0') + "\n" + std::string(900, '\0')));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines.at(0).id("_id"), "7");
  EXPECT_EQ(lines.at(0).number("length"), std::nullopt);
  EXPECT_EQ(lines.at(0).text("context"), "a \uFFFD b");
  EXPECT_EQ(lines.at(1).id("_id"), "8");
  EXPECT_EQ(lines.at(1).number("length"), 3);
  const JsonLines bad(folder.write("y.jsonl", R"({"_id": [7]})"));
  expect_holds(message_of<BrokenRecord>([&] { bad.at(0).id("_id"); }), "\"_id\" must be a text or a number");
}

TEST(JsonLines, BrokenLinesAreNamedAndLeaveTheOthersAlone) {
  const Folder folder;
  const JsonLines lines(
      folder.write("x.jsonl", "{\"a\": 1}\n{\"a\": \n[1]\n{\"a\": \"\xFF\"}\n{\"a\": 5}\n"));
  ASSERT_EQ(lines.size(), 5u);
  expect_holds(message_of<BrokenRecord>([&] { lines.at(1); }), "x.jsonl', line 2: ");
  expect_holds(message_of<BrokenRecord>([&] { lines.at(2); }), "x.jsonl', line 3: this is no JSON object");
  expect_holds(message_of<BrokenRecord>([&] { lines.at(3); }), "x.jsonl', line 4: ");
  EXPECT_EQ(lines.at(4).number("a"), 5);
}

TEST(JsonLines, NumbersThatAreTooLargeBreakTheirLine) {
  const Folder folder;
  const JsonLines lines(folder.write("x.jsonl", "{\"a\": 1e999}\n{\"a\": [-4e538]}\n{\"a\": 1e308}\n"));
  for (const std::size_t line : {0, 1})
    expect_holds(message_of<BrokenRecord>([&] { lines.at(line); }),
                 "line " + std::to_string(line + 1) + ": a number is too large");
  EXPECT_EQ(lines.at(2).number("a"), 1e308);
}

TEST(JsonLines, WrongFieldsAreNamed) {
  const Folder folder;
  const JsonLines lines(folder.write("x.jsonl", R"({"a": 1, "b": [], "c": ["x", 2], "d": "3"})"));
  const Record record = lines.at(0);
  expect_holds(message_of<BrokenRecord>([&] { record.text("a"); }), "line 1: \"a\" must be a text");
  expect_holds(message_of<BrokenRecord>([&] { record.text("e"); }), "\"e\" must be a text, and is missing");
  expect_holds(message_of<BrokenRecord>([&] { record.texts("b"); }), "\"b\" must be a list of texts");
  expect_holds(message_of<BrokenRecord>([&] { record.texts("c"); }), "\"c\" must be a list of texts");
  expect_holds(message_of<BrokenRecord>([&] { record.number("d"); }), "\"d\" must be a number");
  EXPECT_EQ(record.number("e"), std::nullopt);
}

TEST(JsonLines, MissingFile) {
  expect_holds(message_of<Error>([] { JsonLines("/nowhere/x.jsonl"); }), "cannot read '/nowhere/x.jsonl'");
}

TEST(Csv, QuotesLineBreaksAndEndings) {
  const Folder folder;
  CsvReader reader(folder.write("x.csv",
                                "\xEF\xBB\xBF"
                                "id,text\r\n\n1,\"a \"\"b\"\", c\nd\"\n2,\n\"3\",plain \" quote"));
  Fields fields;
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (Fields{"id", "text"}));
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (Fields{"1", "a \"b\", c\nd"}));
  EXPECT_EQ(reader.line(), 3u);
  const std::uint64_t first = reader.offset();
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (Fields{"2", ""}));
  EXPECT_EQ(reader.line(), 5u);
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (Fields{"3", "plain \" quote"}));
  EXPECT_FALSE(reader.next(fields));
  reader.seek(first, 3);
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (Fields{"1", "a \"b\", c\nd"}));
}

TEST(Csv, BlanksAndZerosAroundRowsDoNotCount) {
  const Folder folder;
  CsvReader reader(
      folder.write("x.csv", "id,text\r\n  \r\n1,\"a\" \r\n\t\n\"2\" ,\"b\"\n" + std::string(70, '\0')));
  Fields fields;
  ASSERT_TRUE(reader.next(fields));
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (Fields{"1", "a"}));
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (Fields{"2", "b"}));
  EXPECT_FALSE(reader.next(fields));
  CsvReader old(folder.write("y.csv", "a,b\r\"1\",\"2\"\r3,4\r"));  // lines of old Macs
  ASSERT_TRUE(old.next(fields));
  ASSERT_TRUE(old.next(fields));
  EXPECT_EQ(fields, (Fields{"1", "2"}));
  ASSERT_TRUE(old.next(fields));
  EXPECT_EQ(fields, (Fields{"3", "4"}));
}

TEST(Csv, BrokenRowsAreNamedAndReadingGoesOn) {
  const Folder folder;
  CsvReader reader(folder.write("x.csv", "a,b\n\"1\"x,2\n3,4\n5,\"6\n"));
  Fields fields;
  reader.next(fields);
  expect_holds(message_of<BrokenRecord>([&] { reader.next(fields); }),
               "x.csv', line 2: text follows the closing quote");
  ASSERT_TRUE(reader.next(fields));
  EXPECT_EQ(fields, (Fields{"3", "4"}));
  expect_holds(message_of<BrokenRecord>([&] { reader.next(fields); }), "x.csv', line 4: a quote of this row");
  EXPECT_FALSE(reader.next(fields));
}

TEST(Texts, AreJoinedByName) {
  const Folder folder;
  folder.write("b.txt", "\xEF\xBB\xBFsecond\r\nline");
  folder.write("a.txt", "first");
  folder.write("c.md", "not read");
  folder.write("d.txt", "old\rMac" + std::string(9, '\0'));
  EXPECT_EQ(read_texts(folder.path()), "first\n\nsecond\nline\n\nold\nMac");
}

TEST(Texts, WhatCannotBeReadIsNamed) {
  const Folder folder;
  expect_holds(message_of<UsageError>([&] { read_texts(folder.path()); }), "holds no text");
  expect_holds(message_of<UsageError>([&] { read_texts(folder.path() / "no"); }), "--data");
  folder.write("a.txt", "fine\nnot \xE9 UTF-8\n");
  expect_holds(message_of<Error>([&] { read_texts(folder.path()); }), "a.txt', line 2: this is not UTF-8");
}

TEST(Unicode, WordsAndCaseAsInPython) {
  EXPECT_EQ(lower("ÀÉ İ Ж ǅ K"), "àé i̇ ж ǆ k");
  EXPECT_EQ(split_words(" a\u00a0b\u3000c\x1f"
                        "d\u200be "),
            (Fields{"a", "b", "c", "d\u200be"}));  // U+200B is no white space
  EXPECT_EQ(to_utf8(code_points("a\xFF\xE6\x9D")), "a\uFFFD\uFFFD\uFFFD");
  EXPECT_TRUE(is_word(U'½') && is_word(U'_') && is_word(U'東') && !is_word(U'\u0301') && !is_word(U'–'));
  EXPECT_TRUE(is_digit(U'٣') && !is_digit(U'²'));
}

TEST(Unicode, TextsCutAtAnyByte) {
  const std::string text = "aé東🚂";
  for (std::size_t at = 0; at <= text.size(); ++at) {
    const std::string_view before = without_cut_end(std::string_view(text).substr(0, at));
    const std::string_view after = without_cut_begin(std::string_view(text).substr(at));
    EXPECT_EQ(find_invalid_utf8(before), std::string::npos) << at;
    EXPECT_EQ(find_invalid_utf8(after), std::string::npos) << at;
    EXPECT_TRUE(before.size() + 3 >= at && after.size() + 3 >= text.size() - at) << at;
  }
  EXPECT_EQ(find_invalid_utf8("ok \xC3("), 3u);
}

}  // namespace
}  // namespace chunkkv::eval
