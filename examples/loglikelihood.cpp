#include <chunkkv/chunkkv.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <span>
#include <string>
#include <vector>

namespace {

double log_probability(std::span<const float> logits, chunkkv::Token token) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  return logits[static_cast<std::size_t>(token)] - highest - std::log(sum);
}

}  // namespace

// Reads lines of a beginning, a tab and a continuation, and prints the log-probability of each continuation
// and, after it, of each of its tokens. Every line starts from an empty cache, and nothing is dropped.
int main(int argc, char** argv) try {
  if (argc != 2) throw chunkkv::UsageError("usage: loglikelihood MODEL.gguf < LINES");
  const auto model = chunkkv::Model::load(argv[1]);
  chunkkv::SessionOptions options;
  options.n_cells = 2048;
  chunkkv::Session session(model, options);
  chunkkv::Sequence& sequence = session.sequence();

  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) throw chunkkv::UsageError("a line has no tab: " + line);
    const std::string beginning = line.substr(0, tab);
    const auto tokens = model->tokenize(beginning + line.substr(tab + 1), true, false);
    const std::size_t first = model->tokenize(beginning, true, false).size();

    std::vector<double> values;
    sequence.clear();
    sequence.evaluate(tokens, [&](std::size_t index, std::span<const float> logits) {
      const std::size_t next = index + 1;
      if (next >= first && next < tokens.size()) values.push_back(log_probability(logits, tokens[next]));
    });
    double sum = 0;
    for (const double value : values) sum += value;
    std::printf("%.5f", sum);
    for (const double value : values) std::printf(" %.5f", value);
    std::printf("\n");
  }
} catch (const chunkkv::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
