#include "serve/engine/metrics.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace chunkkv::test {
namespace {

using serve::Histogram;
using serve::Metrics;

TEST(Histogram, CountsByUpperBounds) {
  Histogram histogram;
  for (const double seconds : {0.001, 0.005, 0.006, 1.0, 299.0, 300.5}) histogram.add(seconds);
  EXPECT_EQ(histogram.text("x_seconds", "Help."),
            "# HELP chunkkv_x_seconds Help.\n"
            "# TYPE chunkkv_x_seconds histogram\n"
            "chunkkv_x_seconds_bucket{le=\"0.005\"} 2\n"
            "chunkkv_x_seconds_bucket{le=\"0.01\"} 3\n"
            "chunkkv_x_seconds_bucket{le=\"0.025\"} 3\n"
            "chunkkv_x_seconds_bucket{le=\"0.05\"} 3\n"
            "chunkkv_x_seconds_bucket{le=\"0.1\"} 3\n"
            "chunkkv_x_seconds_bucket{le=\"0.25\"} 3\n"
            "chunkkv_x_seconds_bucket{le=\"0.5\"} 3\n"
            "chunkkv_x_seconds_bucket{le=\"1\"} 4\n"
            "chunkkv_x_seconds_bucket{le=\"2.5\"} 4\n"
            "chunkkv_x_seconds_bucket{le=\"5\"} 4\n"
            "chunkkv_x_seconds_bucket{le=\"10\"} 4\n"
            "chunkkv_x_seconds_bucket{le=\"30\"} 4\n"
            "chunkkv_x_seconds_bucket{le=\"60\"} 4\n"
            "chunkkv_x_seconds_bucket{le=\"300\"} 5\n"
            "chunkkv_x_seconds_bucket{le=\"+Inf\"} 6\n"
            "chunkkv_x_seconds_sum 600.512\n"
            "chunkkv_x_seconds_count 6\n");
}

TEST(Metrics, EveryLineIsOneOfPrometheus) {
  Metrics metrics;
  metrics.update([](auto& v) {
    v.cells_used = 30;
    v.cells_total = 100;
    v.refused = 7;
    v.first_token.add(0.2);
  });
  const std::string text = metrics.text();
  EXPECT_NE(text.find("\nchunkkv_cells_used 30\n"), text.npos);
  EXPECT_NE(text.find("\nchunkkv_cells_free 70\n"), text.npos);
  EXPECT_NE(text.find("\nchunkkv_requests_refused_total 7\n"), text.npos);
  std::istringstream lines(text);
  std::set<std::string> typed;
  for (std::string line, name, kind; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first;
    words >> first;
    if (first == "#") {
      words >> kind >> name;
      if (kind == "TYPE") {
        EXPECT_TRUE(typed.insert(name).second) << "twice: " << line;
      }
      continue;
    }
    EXPECT_TRUE(first.starts_with(name)) << line;
    double value = -1;
    words >> value;
    EXPECT_GE(value, 0) << line;
  }
  EXPECT_GE(typed.size(), 15U);
}

TEST(Metrics, ManyThreadsLoseNothing) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        metrics.update([](auto& v) { ++v.requests; });
        if (i % 100 == 0) {
          EXPECT_FALSE(metrics.text().empty());
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_NE(metrics.text().find("\nchunkkv_requests_total 4000\n"), std::string::npos);
}

}  // namespace
}  // namespace chunkkv::test
