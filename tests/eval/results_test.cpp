// Files of results: which lines are the same, what an interruption leaves, and how files are merged.
#include "results/file.h"
#include "results/merge.h"

#include <chunkkv/error.h>

#include "unit/expect_throw.h"
#include "unit/random_seed.h"
#include "unit/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <set>

namespace chunkkv::results {
namespace {

using test::content;
using test::expect_mentions;
using test::message_of;
using test::put;
using test::Random;
using test::TemporaryFolder;

Json line(int id, const std::string& answer = "an answer") {
  return {{"benchmark", "longbench"},
          {"task", "hotpotqa"},
          {"id", std::to_string(id)},
          {"question", 0},
          {"method", "snapkv"},
          {"keep", "10%"},
          {"query", "aware"},
          {"cells", 0},
          {"max_length", 3500},
          {"seed", 0},
          {"model_hash", "ab"},
          {"answer", answer},
          {"score", 0.5},
          {"ms", {{"move", 1.5}}}};
}

std::vector<Json> lines(int count) {
  std::vector<Json> all;
  // Some answers hold what could be taken for the end of a line.
  for (int i = 0; i < count; ++i)
    all.push_back(line(i, i % 3 == 0 ? "two\nlines }" : "sz\u00fcg \"quoted\""));
  return all;
}

std::string text(const std::vector<Json>& all) {
  std::string joined;
  for (const Json& one : all) joined += to_text(one);
  return joined;
}

TEST(ResultKey, TellsApartWhatIsAskedOfWhom) {
  const Json first = line(1);
  for (const char* field :
       {"benchmark", "task", "id", "question", "method", "keep", "query", "cells", "max_length", "seed",
        "model_hash", "settings", "repetition", "input", "output", "data"}) {
    Json other = first;
    other[field] = "something else";
    EXPECT_NE(result_key(first), result_key(other)) << field;
  }
}

TEST(ResultKey, IsThatOfTheLineReadBack) {
  Json written = line(1);
  written["depth"] = 0.1;
  EXPECT_EQ(result_key(written), result_key(parse_line(to_text(written))));
}

TEST(ResultKey, IsThatOfTheLineThatOtherProgramsWriteAgain) {
  Json again = line(1);
  again["max_length"] = 3500.0;
  again["cells"] = 0.0;
  EXPECT_EQ(result_key(line(1)), result_key(again));
  again["max_length"] = 3500.5;
  EXPECT_NE(result_key(line(1)), result_key(again));
  Json odd = {{"benchmark", "perf"}, {"machine", 5}};
  EXPECT_NE(result_key(odd), "");
}

TEST(ResultKey, LeavesOutAnswerAndTime) {
  const Json first = line(1);
  Json again = line(1, "another answer");
  again["ms"] = {{"move", 2}};
  again["machine"] = "another one";
  EXPECT_EQ(result_key(first), result_key(again));
  EXPECT_FALSE(same_result(first, again));
  again["answer"] = first["answer"];
  EXPECT_TRUE(same_result(first, again));
  again.erase("score");
  EXPECT_FALSE(same_result(first, again));
  EXPECT_FALSE(same_result(again, first));
}

TEST(ResultFile, HoldsEveryLineOnceWhateverInterruptsTheWriting) {
  Random random;
  const std::vector<Json> all = lines(40);
  for (int round = 0; round < 50; ++round) {
    const TemporaryFolder folder;
    const std::string path = folder.file("results.jsonl");
    for (int runs = 0; content(path) != text(all); ++runs) {
      ASSERT_LT(runs, 200);
      {
        std::set<std::string> known;
        ResultFile file(path, [&](const Json& known_line) { known.insert(result_key(known_line)); });
        for (int i = random.integer(0, 6); i > 0 && known.size() < all.size(); --i) {
          const Json& next = all[known.size()];
          ASSERT_FALSE(known.contains(result_key(next)));
          file.append(next);
          known.insert(result_key(next));
        }
      }
      // A writer that is killed may leave any part of the next line.
      const std::string written = content(path), whole = text(all);
      const auto next = std::size_t(random.integer(0, 400));
      put(path,
          whole.substr(0, std::min({written.size() + next, whole.find('\n', written.size()), whole.size()})));
    }
  }
}

TEST(ResultFile, TellsThatItCutALine) {
  const TemporaryFolder folder;
  const std::string path = folder.file("results.jsonl");
  const std::string whole = text(lines(2));
  put(path, whole.substr(0, whole.size() - 5));
  const ResultFile file(path);
  EXPECT_TRUE(file.repaired());
  EXPECT_EQ(file.n_lines(), 1U);
  EXPECT_EQ(content(path), text(lines(1)));
}

TEST(ResultFile, KeepsALastLineThatOnlyMissesItsEnd) {
  const TemporaryFolder folder;
  const std::string path = folder.file("results.jsonl");
  const std::string whole = text(lines(2));
  put(path, whole.substr(0, whole.size() - 1));
  const ResultFile file(path);
  EXPECT_FALSE(file.repaired());
  EXPECT_EQ(file.n_lines(), 2U);
  EXPECT_EQ(content(path), whole);
}

TEST(ResultFile, RefusesWhatIsNoFileOfResultsAndLeavesItAlone) {
  const TemporaryFolder folder;
  const std::string path = folder.file("notes.txt");
  for (const std::string& other :
       {std::string("my notes\n"), std::string("my notes"), std::string("{\"a\":1}\n"), std::string("[1]\n"),
        text(lines(1)) + "more", text(lines(1)) + "{\"benchmark\":3}\n",
        text(lines(1)) + "{\"benchmark\":\"x\"}", std::string("\0a\0", 3)}) {
    put(path, other);
    expect_mentions(message_of<Error>([&] { const ResultFile file(path); }), {"notes.txt", "another file"});
    EXPECT_EQ(content(path), other);
  }
}

/// Power cuts, editors and Python leave zeros, blanks and JSON that is no standard around and in lines.
TEST(ResultFile, SurvivesDamageThatLosesNothing) {
  const std::string one = to_text(line(1)), two = to_text(line(2)), ended = two.substr(0, two.size() - 1);
  const std::string zeros(300, '\0');
  const std::string python =
      R"({"benchmark": "niah", "method": "full", "keep": "100%", "answer": "\ud83d", "kl": NaN})";
  struct Case {
    std::string damaged;
    std::size_t n_lines;
    bool repaired = false;
  };
  for (const Case& each :
       {Case{one + two + zeros, 2}, Case{one + ended + zeros, 2}, Case{one + "\n\n" + two + "\n \t\n", 2},
        Case{one + "   ", 1}, Case{one + ended + "   ", 2}, Case{one + ended + " \r\n", 2}, Case{zeros, 0},
        Case{"\n", 0}, Case{one + zeros + "\n" + two, 2}, Case{zeros + one, 1},
        Case{one + two.substr(0, 60) + zeros, 1, true}, Case{one + python + "\n", 2}, Case{one + python, 2},
        Case{one + python.substr(0, 40), 1, true}}) {
    const TemporaryFolder folder;
    const std::string path = folder.file("results.jsonl");
    put(path, each.damaged);
    {
      ResultFile file(path);
      EXPECT_EQ(file.n_lines(), each.n_lines) << each.damaged;
      EXPECT_EQ(file.repaired(), each.repaired) << each.damaged;
      file.append(line(3));
    }
    std::size_t n = 0;
    const LastLine last = read_results(path, [&](const Json&, std::size_t) { ++n; });
    EXPECT_EQ(n, each.n_lines + 1) << each.damaged;
    EXPECT_EQ(last.text, "");
    EXPECT_TRUE(content(path).ends_with("\n" + to_text(line(3))) || each.n_lines == 0) << each.damaged;
  }
}

TEST(ResultFile, StopsWhenItsPathNamesAnotherFile) {
  const TemporaryFolder folder;
  const std::string path = folder.file("results.jsonl"), other = folder.file("other");
  {
    ResultFile file(path);
    file.append(line(1));
    std::filesystem::rename(path, other);
    expect_mentions(message_of<Error>([&] { file.append(line(2)); }),
                    {"results.jsonl", "renamed", "same command"});
  }
  std::filesystem::rename(other, path);
  {
    ResultFile file(path);
    put(other, "");
    std::filesystem::rename(other, path);  // as `eval merge` would
    expect_mentions(message_of<Error>([&] { file.append(line(2)); }), {"results.jsonl", "replaced"});
  }
  {
    ResultFile file(path);
    std::filesystem::remove(path);
    expect_mentions(message_of<Error>([&] { file.append(line(2)); }), {"results.jsonl", "removed"});
  }
}

TEST(ResultLock, IsRefusedWhileARunWrites) {
  const TemporaryFolder folder;
  const std::string path = folder.file("results.jsonl");
  const ResultLock none(path);  // there is no file yet, and none is made
  EXPECT_FALSE(std::filesystem::exists(path));
  {
    ResultFile file(path);
    expect_mentions(message_of<Error>([&] { const ResultLock lock(path); }),
                    {"another run", "results.jsonl"});
    file.append(line(1));
  }
  const ResultLock lock(path);
  expect_mentions(message_of<Error>([&] { const ResultFile file(path); }), {"another run"});
  EXPECT_EQ(content(path), to_text(line(1)));
}

TEST(ResultFile, NamesTheLineThatIsNoResult) {
  const TemporaryFolder folder;
  const std::string path = folder.file("results.jsonl");
  put(path, text(lines(3)) + "{\"benchmark\":\"x\"\n" + text(lines(1)));
  expect_mentions(message_of<Error>([&] { const ResultFile file(path); }),
                  {"line 4", "results.jsonl", "not JSON"});
}

TEST(ResultFile, HasOneWriter) {
  const TemporaryFolder folder;
  const std::string path = folder.file("results.jsonl");
  {
    ResultFile first(path);
    first.append(line(1));
    expect_mentions(message_of<Error>([&] { const ResultFile second(path); }), {"another run", "merge"});
    first.append(line(2));
  }
  EXPECT_EQ(ResultFile(path).n_lines(), 2U);
}

TEST(ResultFile, NamesAFileThatCannotBeWritten) {
  expect_mentions(message_of<Error>([] { const ResultFile file("/no/such/folder/results.jsonl"); }),
                  {"/no/such/folder", "choose another"});
  expect_mentions(message_of<UsageError>([] { const ResultFile file("/dev/full"); }),
                  {"/dev/full", "regular"});
}

TEST(ResultFile, IsAsBeforeWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  const std::string path = folder.file("results.jsonl");
  rlimit usual = {};
  getrlimit(RLIMIT_FSIZE, &usual);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  {
    ResultFile file(path);
    file.append(line(1));
    const std::string before = content(path);
    rlimit small = usual;
    small.rlim_cur = before.size() + 20;
    setrlimit(RLIMIT_FSIZE, &small);
    expect_mentions(message_of<Error>([&] { file.append(line(2)); }), {"results.jsonl", "same command"});
    setrlimit(RLIMIT_FSIZE, &usual);
    EXPECT_EQ(content(path), before);
    file.append(line(2));
  }
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(content(path), to_text(line(1)) + to_text(line(2)));
}

TEST(Merge, HoldsEveryResultOfItsFilesOnce) {
  Random random;
  const TemporaryFolder folder;
  for (int round = 0; round < 20; ++round) {
    const std::vector<Json> all = lines(30);
    std::vector<std::string> paths;
    std::vector<std::string> parts(std::size_t(random.integer(1, 5)));
    std::size_t n_copies = 0;
    for (const Json& one : all) {
      for (int copies = random.integer(1, 3); copies > 0; --copies) {
        parts[std::size_t(random.integer(0, int(parts.size()) - 1))] += to_text(one);
        ++n_copies;
      }
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      paths.push_back(folder.file(std::to_string(i)));
      put(paths.back(), parts[i]);
    }
    const Merged merged = merge_results(paths);
    EXPECT_EQ(merged.n_lines, all.size());
    EXPECT_EQ(merged.n_duplicates, n_copies - all.size());
    EXPECT_TRUE(merged.conflicts.empty());
    EXPECT_TRUE(merged.cut.empty());
    put(folder.file("merged"), merged.text);
    std::multiset<std::string> expected, found;
    for (const Json& one : all) expected.insert(to_text(one));
    read_results(folder.file("merged"), [&](const Json& one, std::size_t) { found.insert(to_text(one)); });
    EXPECT_EQ(found, expected);
  }
}

TEST(Merge, ReportsConflictsAndLinesCutShort) {
  const TemporaryFolder folder;
  Json slower = line(1);
  slower["ms"] = {{"move", 99}};
  const std::string cut = to_text(line(7)).substr(0, 60);
  put(folder.file("a"), to_text(line(1)) + to_text(line(2)));
  put(folder.file("b"), to_text(slower) + to_text(line(2, "no")) + cut);
  const std::string ended = to_text(line(3));
  put(folder.file("c"), ended.substr(0, ended.size() - 1));
  const std::vector<std::string> paths = {folder.file("a"), folder.file("b"), folder.file("c")};
  const Merged merged = merge_results(paths);
  EXPECT_EQ(merged.text, to_text(line(1)) + to_text(line(2)) + to_text(line(3)));
  EXPECT_EQ(merged.n_duplicates, 2U);
  ASSERT_EQ(merged.conflicts.size(), 1U);
  expect_mentions(merged.conflicts[0], {"b', line 2", "a', line 2"});
  EXPECT_EQ(merged.cut, std::vector<std::string>{paths[1]});
}

TEST(Merge, RefusesOtherFiles) {
  const TemporaryFolder folder;
  put(folder.file("a"), to_text(line(1)));
  for (const char* other : {"some text\n", "some text"}) {
    put(folder.file("b"), other);
    const std::vector<std::string> paths = {folder.file("a"), folder.file("b")};
    expect_mentions(message_of<Error>([&] { merge_results(paths); }), {"line 1", "b'"});
  }
  const std::vector<std::string> missing = {folder.file("none")};
  expect_mentions(message_of<Error>([&] { merge_results(missing); }), {"cannot read", "none"});
}

}  // namespace
}  // namespace chunkkv::results
