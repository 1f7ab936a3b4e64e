#include "lines.h"
#include "report/report.h"

#include <gtest/gtest.h>

namespace chunkkv::report {
namespace {

/// Two samples of each of two tasks, answered by the full cache and three methods. Fidelity is that of one
/// method, speed that of the same method and the full cache.
Results small_results() {
  Results results;
  results.files = {"small.jsonl"};
  for (const auto& [task, group] : {std::pair("lcc", "code"), {"trec", "few-shot"}})
    for (const char* id : {"1", "2"}) {
      const auto add = [&, task = task, group = group](const char* method, const char* keep, double score) {
        results.answers.push_back(
            test::answer({.group = group, .task = task, .id = id, .method = method, .keep = keep}, score));
      };
      add("full", "100%", 0.8);
      add("snapkv", "10%", 0.4);
      add("chunkkv", "10%", 0.6);
      add("chunkkv:chunk=20", "10%", 0.5);
    }
  results.fidelity = {test::fidelity("1", "chunkkv", "10%", 0.125),
                      test::fidelity("2", "chunkkv", "10%", 0.125)};
  results.speed = {test::speed("full", "100%", 0, 8000), test::speed("chunkkv", "10%", 0, 2500.4)};
  results.n_lines = 20;
  return results;
}

TEST(Markdown, IsAsBefore) {
  EXPECT_EQ(
      markdown(make_report(small_results())),
      R"(Scores are out of 100. In brackets: 95% intervals by bootstrap, resampled by sample and paired, so that every method meets the same samples.

## `tiny.gguf`

### LongBench

Question read before compression; 4 samples, 100 prompt tokens on average.

| method | kept | few-shot | code | score, average of 2 tasks | share of the full cache's | difference from `chunkkv` |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
| `full` | 100% | 80.0 | 80.0 | 80.0 (80.0 to 80.0) |  |  |
| `snapkv` | 10% | 40.0 | 40.0 | 40.0 (40.0 to 40.0) | 50% (50 to 50) | -20.0 (-20.0 to -20.0) |
| `chunkkv` | 10% | 60.0 | 60.0 | 60.0 (60.0 to 60.0) | 75% (75 to 75) |  |
| `chunkkv:chunk=20` | 10% | 50.0 | 50.0 | 50.0 (50.0 to 50.0) | 62% (62 to 62) | -10.0 (-10.0 to -10.0) |

`chunkkv` by chunk length (tokens): score, average of 2 tasks

| chunk length (tokens) | 10% kept |
| --- | ---: |
| 10 (default) | 60.0 (60.0 to 60.0) |
| 20 | 50.0 (50.0 to 50.0) |

### Fidelity to the full cache

Question read before compression; 2 samples.

| method | kept | KL divergence (nats) |
| --- | --- | ---: |
| `chunkkv` | 10% | 0.125 (0.125 to 0.125) |

### Speed and memory

a machine. Medians over the repetitions.

| input + output | method | kept | latency (ms) |
| --- | --- | --- | ---: |
| 4,096 + 1,024 | `full` | 100% | 8,000 |
| 4,096 + 1,024 | `chunkkv` | 10% | 2,500 |
)");
}

TEST(Markdown, MarksMissingSamplesAndZero) {
  Results results = small_results();
  results.answers.pop_back();  // a sample of chunkkv:chunk=20
  for (Answer& answer : results.answers)
    if (answer.pair.method == "snapkv") answer.score = 0.6 - 1e-6;  // -0.0 is written as 0.0
  const std::string text = markdown(make_report(results));
  EXPECT_NE(text.find("| `chunkkv:chunk=20` | 10% | 50.0\\* | 50.0 | 50.0\\* |"), std::string::npos) << text;
  EXPECT_NE(text.find("\\* some samples of the column are missing in this row"), std::string::npos) << text;
  EXPECT_NE(text.find("| 0.0 (0.0 to 0.0) |"), std::string::npos) << text;
  EXPECT_EQ(text.find("-0.0"), std::string::npos) << text;
}

TEST(Page, LoadsNothingAndCannotBeBrokenByNames) {
  Results results = small_results();
  for (Answer& answer : results.answers) answer.origin.model = "</script><img src=x>{{script}}.gguf";
  const std::string page = report_page(make_report(results));
  EXPECT_EQ(page.rfind("<!doctype html>", 0), 0u);
  EXPECT_NE(page.find("Chart.js v3"), std::string::npos);
  EXPECT_NE(page.find("Permission is hereby granted"), std::string::npos);
  EXPECT_EQ(page.find("<img src=x>"), std::string::npos);
  EXPECT_NE(page.find(R"(\u003c/script>\u003cimg src=x>{{script}}.gguf)"), std::string::npos);
  for (const char* loading : {"<script src", "<link", "@import", "src=\"http"})
    EXPECT_EQ(page.find(loading), std::string::npos) << loading;
}

}  // namespace
}  // namespace chunkkv::report
