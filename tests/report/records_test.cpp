// Records of results: a record that is written is read back the same, and a line has the key of its record.
#include "results/answer.h"
#include "results/fidelity.h"
#include "results/speed.h"

#include <chunkkv/error.h>
#include <chunkkv/fidelity.h>

#include <gtest/gtest.h>

namespace chunkkv::results {
namespace {

const Origin kOrigin = {
    .model = "m.gguf", .model_hash = "ab", .version = "0.2.0", .machine = "here", .seed = 3};
const Sample kSample = {.task = "single", .group = "needle", .id = "4000-0.5", .question = 2, .data = "01"};
const Pair kPair = {"chunkkv:reuse=2", "10%"};

AnswerRecord answer() {
  return {.origin = kOrigin,
          .setting = {"niah", /*query_aware=*/false, /*cells=*/2048, /*max_length=*/7500, "n=16"},
          .sample = kSample,
          .pair = kPair,
          .prompt_tokens = 4010,
          .score = 0.5,
          .metrics = {{"words", 0.75}},
          .length = 4000,
          .depth = 0.5,
          .window = 8,
          .facts = {{"depth", 0.5}, {"length", 4000}}};
}

Json written(const AnswerRecord& record) {
  return to_json(record, {.prompt_tokens = 4010},
                 {.text = "…", .n_tokens = 1, .stop = "end", .per_token_ms = {}});
}

Json scored(const AnswerRecord& record) {
  Json line = written(record);
  set_score(line, {.value = record.score, .metrics = record.metrics, .undecided = {}, .rest = 0.25});
  return line;
}

void expect_same_sample(const Origin& origin, const Setting& setting, const Sample& sample, const Pair& pair,
                        const Setting& expected) {
  EXPECT_EQ(model_key(origin), model_key(kOrigin));
  EXPECT_EQ(origin.model, kOrigin.model);
  EXPECT_EQ(origin.version, kOrigin.version);
  EXPECT_EQ(origin.machine, kOrigin.machine);
  EXPECT_EQ(origin.seed, kOrigin.seed);
  EXPECT_EQ(setting, expected);
  EXPECT_EQ(sample.task, kSample.task);
  EXPECT_EQ(sample.group, kSample.group);
  EXPECT_EQ(sample.record(), kSample.record());
  EXPECT_EQ(sample.question, kSample.question);
  EXPECT_EQ(pair, kPair);
}

TEST(AnswerRecord, ComesBackFromItsLine) {
  const AnswerRecord asked = answer();
  const Json line = scored(asked);
  const AnswerRecord read = answer_record(parse_line(to_text(line)));
  expect_same_sample(read.origin, read.setting, read.sample, read.pair, asked.setting);
  EXPECT_EQ(read.prompt_tokens, 4010);
  EXPECT_EQ(read.score, 0.5);
  EXPECT_FALSE(read.undecided);
  EXPECT_EQ(read.metrics, asked.metrics);
  EXPECT_EQ(read.length, 4000);
  EXPECT_EQ(read.depth, 0.5);
  EXPECT_EQ(key(read), key(asked));
  EXPECT_EQ(result_key(line), result_key(identity(asked)));
}

TEST(AnswerRecord, TellsWhyItHasNoScore) {
  Json line = written(answer());
  EXPECT_TRUE(line.at("score").is_null());
  EXPECT_THROW(answer_record(line), UsageError);
  set_score(line, {.value = 1, .metrics = {}, .undecided = "who knows", .rest = {}});
  EXPECT_TRUE(line.at("score").is_null());
  EXPECT_TRUE(answer_record(line).undecided);
}

TEST(FidelityRecord, ComesBackFromItsLine) {
  FidelityRecord written;
  written.origin = kOrigin;
  written.setting = {"fidelity", /*query_aware=*/true, /*cells=*/0, /*max_length=*/7500, ""};
  written.sample = kSample;
  written.pair = kPair;
  Fidelity measured;
  measured.n_tokens = 20;
  measured.kl = 0.25;
  measured.top1 = 0.5;
  measured.kv_l1 = measured.attention_cosine = {0.1, 0.3};
  measured.attention_mass = {0.5, 1};
  measured.similarity = {1, 0.5, 0.5, 1};
  const Json line = to_json(written, measured);
  const FidelityRecord read = fidelity_record(parse_line(to_text(line)));
  expect_same_sample(read.origin, read.setting, read.sample, read.pair, written.setting);
  EXPECT_EQ(read.figures, (std::map<std::string, double>{{"kl", 0.25},
                                                         {"top1", 0.5},
                                                         {"kv_l1", 0.2},
                                                         {"attention_cosine", 0.2},
                                                         {"attention_mass", 0.75},
                                                         {"adjacent_similarity", 0}}));
  EXPECT_EQ(read.kv_l1_layers, measured.kv_l1);
  EXPECT_EQ(read.similarity, (std::vector<std::vector<double>>{{1, 0.5}, {0.5, 1}}));
  EXPECT_EQ(key(read), key(written));
  EXPECT_EQ(result_key(line), result_key(identity(written)));
}

TEST(SpeedRecord, ComesBackFromItsLine) {
  const SpeedRecord written = {.origin = kOrigin,
                               .pair = kPair,
                               .input = 4096,
                               .output = 101,
                               .repetition = 1,
                               .figures = {},
                               .settings = "ub=64"};
  const SpeedSample sample = {.kept_tokens = 409,
                              .prefill_ms = 700,
                              .observe_ms = 20,
                              .select_ms = 1,
                              .move_ms = 10,
                              .first_token_ms = 731,
                              .per_token_ms = 2,
                              .total_ms = 1000,
                              .bytes_before = 900,
                              .bytes_after = 90,
                              .bytes_peak = 5000};
  const Json line = parse_line(to_text(to_json(written, sample)));
  const SpeedRecord read = speed_record(line);
  EXPECT_EQ(read.pair, kPair);
  EXPECT_EQ(read.input, 4096);
  EXPECT_EQ(read.output, 101);
  EXPECT_EQ(read.figures.at("total"), 1000);
  EXPECT_EQ(read.figures.at("answering"), 200);
  EXPECT_EQ(read.figures.at("reading"), 769);
  EXPECT_EQ(read.figures.at("throughput"), 4197);
  EXPECT_EQ(read.figures.at("cache"), 90);
  EXPECT_FALSE(read.figures.contains("gpu"));
  EXPECT_EQ(key(read), key(written));
  EXPECT_EQ(result_key(line), result_key(identity(written)));
  const SpeedSample again = speed_sample(line);
  EXPECT_EQ(to_json(written, again), to_json(written, sample));
}

}  // namespace
}  // namespace chunkkv::results
