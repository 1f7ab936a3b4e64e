#include "kernels/choice.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

namespace chunkkv::kernels {
namespace {

// Processors as they are sold, each with an engine that is built for it.
constexpr Machine kAvx2 = {.avx2 = true, .engine_interleaved = true};
constexpr Machine kAvx512 = {.avx2 = true, .avx512 = true, .engine_interleaved = true};
constexpr Machine kAvxVnni = {.avx2 = true, .vnni = true, .engine_interleaved = true};
constexpr Machine kAvx512Vnni = {.avx2 = true, .avx512 = true, .vnni = true, .engine_interleaved = true};
constexpr Machine kAvx512fp16 = {
    .avx2 = true, .avx512 = true, .vnni = true, .avx512fp16 = true, .engine_interleaved = true};
constexpr Machine kAmx = {.avx2 = true,
                          .avx512 = true,
                          .vnni = true,
                          .avx512fp16 = true,
                          .amx = true,
                          .engine_amx = true,
                          .engine_interleaved = true};
constexpr Machine kArm = {.engine_interleaved = true};

struct Case {
  const char* type;
  Layout layout;
  Arithmetic product;
};

void expect(const Machine& machine, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const WeightShape weights{.type = c.type, .n_out = 1536, .depth = 1536};
    EXPECT_EQ(best_layout(machine, weights), c.layout) << c.type;
    EXPECT_EQ(best_product(machine, weights, c.layout, 64), c.product) << c.type;
  }
}

TEST(Choice, Avx2) {
  const auto bytes = Arithmetic::bytes, integers = Arithmetic::words;
  expect(kAvx2, {{"q4_0", Layout::interleaved, bytes},
                 {"q4_1", Layout::plain, bytes},
                 {"q4_K", Layout::interleaved, bytes},
                 {"iq4_nl", Layout::interleaved, integers},
                 {"iq4_xs", Layout::plain, integers},
                 {"mxfp4", Layout::interleaved, bytes},
                 {"q2_K", Layout::plain, integers},
                 {"q5_0", Layout::plain, bytes},
                 {"q6_K", Layout::plain, integers},
                 {"q8_0", Layout::plain, integers},
                 {"f16", Layout::plain, integers},
                 {"bf16", Layout::plain, integers},
                 {"f32", Layout::plain, Arithmetic::engine}});
}

TEST(Choice, Avx512AloneLeavesWhatTheEngineIsFastWith) {
  expect(kAvx512, {{"q4_0", Layout::interleaved, Arithmetic::engine},
                   {"q4_1", Layout::plain, Arithmetic::bytes},
                   {"q4_K", Layout::interleaved, Arithmetic::engine},
                   {"q2_K", Layout::interleaved, Arithmetic::engine},
                   {"iq4_nl", Layout::interleaved, Arithmetic::engine},
                   {"iq4_xs", Layout::plain, Arithmetic::engine},
                   {"mxfp4", Layout::interleaved, Arithmetic::bytes},
                   {"q5_0", Layout::plain, Arithmetic::bytes},
                   {"q5_K", Layout::plain, Arithmetic::engine},
                   {"q6_K", Layout::plain, Arithmetic::engine},
                   {"q8_0", Layout::plain, Arithmetic::words},
                   {"f16", Layout::plain, Arithmetic::words},
                   {"f32", Layout::plain, Arithmetic::engine}});
}

TEST(Choice, VnniTakesWholeNumbers) {
  for (const Machine& machine : {kAvxVnni, kAvx512Vnni, kAvx512fp16})
    expect(machine, {{"q4_0", Layout::interleaved, Arithmetic::bytes},
                     {"q4_1", Layout::plain, Arithmetic::bytes},
                     {"q4_K", Layout::interleaved, Arithmetic::bytes},
                     {"q5_0", Layout::plain, Arithmetic::bytes},
                     {"q5_K", Layout::plain, Arithmetic::bytes},
                     {"q6_K", Layout::plain, Arithmetic::bytes},
                     {"q8_0", Layout::plain, Arithmetic::bytes},
                     {"iq4_nl", Layout::interleaved, Arithmetic::bytes},
                     {"iq4_xs", Layout::plain, Arithmetic::bytes},
                     {"mxfp4", Layout::interleaved, Arithmetic::bytes},
                     {"q2_K", machine.avx512 ? Layout::interleaved : Layout::plain, Arithmetic::bytes},
                     {"q3_K", Layout::plain, Arithmetic::bytes},
                     {"f32", Layout::plain, Arithmetic::engine}});
}

TEST(Choice, VnniLeavesOtherNumbersAsTheyWere) {
  for (const auto& [machine, other] :
       {std::pair(kAvxVnni, Arithmetic::words), std::pair(kAvx512Vnni, Arithmetic::words),
        std::pair(kAvx512fp16, Arithmetic::f16_avx512)})
    expect(machine,
           {{"f16", Layout::plain, other}, {"bf16", Layout::plain, other}, {"iq3_s", Layout::plain, other}});
}

TEST(Choice, AmxKeepsTheLayoutThatGeneratesFastest) {
  const auto ours = Arithmetic::bf16_amx;
  expect(kAmx, {{"q4_0", Layout::amx, ours},
                {"q4_1", Layout::amx, ours},
                {"q8_0", Layout::amx, ours},
                {"q4_K", Layout::amx, ours},
                {"q5_K", Layout::amx, ours},
                {"q6_K", Layout::amx, ours},
                {"iq4_xs", Layout::amx, ours},
                {"iq4_nl", Layout::interleaved, ours},
                {"q5_0", Layout::plain, ours},
                {"bf16", Layout::plain, ours},
                {"f16", Layout::plain, ours},  // the engine would copy it and gain nothing
                {"f32", Layout::plain, Arithmetic::engine}});
  EXPECT_EQ(engine_layout(kAmx, {.type = "f16", .n_out = 1536, .depth = 1536}), Layout::amx);
}

/// Experts get some of the tokens each: unpacking must pay for itself.
TEST(Choice, ExpertsAreMultipliedAsSmallNumbersOrWithManyRows) {
  const auto product = [](const Machine& machine, const char* type, Layout layout, double rows) {
    return best_expert_product(machine, {.type = type, .n_out = 768, .depth = 2048}, layout, rows);
  };
  for (const Machine& machine : {kAvx512Vnni, kAvx512fp16, kAmx})
    for (const double rows : {3.9, 4.0, 500.0}) {
      const auto numbers = rows < 4                    ? Arithmetic::engine
                           : machine.amx && rows > 100 ? Arithmetic::bf16_amx
                                                       : Arithmetic::bytes;
      EXPECT_EQ(product(machine, "mxfp4", Layout::interleaved, rows), numbers);
      EXPECT_EQ(product(machine, "q4_K", Layout::interleaved, rows), numbers);
      EXPECT_EQ(product(machine, "q6_K", Layout::plain, rows), numbers);
      EXPECT_EQ(product(machine, "f32", Layout::plain, rows), Arithmetic::engine);
    }
  EXPECT_EQ(product(kAvx2, "q4_K", Layout::interleaved, 4), Arithmetic::bytes);
  EXPECT_EQ(product(kAvx2, "q6_K", Layout::plain, 4), Arithmetic::bytes);
  EXPECT_EQ(product(kAvx512, "q6_K", Layout::plain, 500), Arithmetic::engine);
  EXPECT_EQ(product(kAvx512, "q4_K", Layout::interleaved, 500), Arithmetic::engine);
  EXPECT_EQ(product(kArm, "q4_K", Layout::interleaved, 500), Arithmetic::engine);
  for (const auto& [machine, f16] :
       {std::pair(kAvx512Vnni, Arithmetic::words), std::pair(kAvx512fp16, Arithmetic::f16_avx512),
        std::pair(kAmx, Arithmetic::bf16_amx), std::pair(kAvx2, Arithmetic::words)}) {
    const double fewest = machine.amx ? 4 : 16;  // tiles take halves from the fewest rows on
    for (const char* half : {"f16", "bf16"}) {
      EXPECT_EQ(product(machine, half, Layout::plain, fewest - 0.1), Arithmetic::engine);
      EXPECT_EQ(product(machine, half, Layout::plain, fewest), f16);
      EXPECT_EQ(product(machine, half, Layout::plain, 64), f16);
    }
    EXPECT_EQ(product(machine, "iq3_s", Layout::plain, 63), Arithmetic::engine);
    EXPECT_EQ(product(machine, "iq3_s", Layout::plain, 64), f16);
  }
}

/// The engine has AMX, but the system does not let us use the tiles: only the engine reads its AMX layout.
TEST(Choice, AmxThatOnlyTheEngineHas) {
  Machine refused = kAmx;
  refused.amx = false;
  const WeightShape weights{.type = "q4_1", .n_out = 1536, .depth = 1536};
  EXPECT_EQ(best_layout(refused, weights), Layout::amx);
  EXPECT_EQ(best_product(refused, weights, Layout::amx, 512), Arithmetic::engine);
  EXPECT_EQ(best_product(refused, weights, Layout::plain, 512), Arithmetic::bytes);
}

TEST(Choice, OtherProcessorsAreTheEngines) {
  for (const char* type : {"q4_0", "q4_1", "f16"})
    for (const Layout layout : {Layout::plain, Layout::interleaved, Layout::other})
      EXPECT_EQ(best_product(kArm, {.type = type, .n_out = 1536, .depth = 1536}, layout, 512),
                Arithmetic::engine);
}

TEST(Choice, ShapesThatNoKernelHasAreTheEngines) {
  for (const auto& machine : {kAvx2, kAvx512, kAvxVnni, kAvx512Vnni, kAvx512fp16, kAmx})
    for (const WeightShape& w : {WeightShape{.type = "q4_1", .n_out = 100, .depth = 1536},
                                 WeightShape{.type = "f16", .n_out = 64, .depth = 40}})
      EXPECT_EQ(best_product(machine, w, Layout::plain, 512), Arithmetic::engine);
  EXPECT_EQ(best_layout(kAmx, {.type = "q4_1", .n_out = 48, .depth = 1536}), Layout::plain);
  EXPECT_EQ(best_layout(kAmx, {.type = "q4_K", .n_out = 64, .depth = 544}), Layout::interleaved);
}

/// Products with weights in the memory of a GPU are computed there.
TEST(Choice, WeightsElsewhereAreTheEngines) {
  EXPECT_EQ(best_product(kAmx, {.type = "q4_1", .n_out = 64, .depth = 64}, Layout::other, 512),
            Arithmetic::engine);
}

TEST(Choice, FewTokensAreOursWhereWeightsAreUnpackedFastEnough) {
  const auto product = [](const Machine& machine, const char* type, Layout layout, std::int64_t n_tokens) {
    return best_product(machine, {.type = type, .n_out = 1536, .depth = 1536}, layout, n_tokens);
  };
  for (const Machine* machine : {&kAvx2, &kAvx512Vnni, &kAvx512fp16, &kAmx})
    for (const std::int64_t n_tokens : {1, 7, 8, 63})
      EXPECT_EQ(product(*machine, "q5_0", Layout::plain, n_tokens),
                n_tokens < 8 ? Arithmetic::engine : Arithmetic::bytes);
  EXPECT_EQ(product(kAmx, "q5_0", Layout::plain, 64), Arithmetic::bf16_amx);
  for (const auto& [type, fewest] : {std::pair("q4_1", 33), std::pair("q6_K", 33), std::pair("q5_K", 64)}) {
    EXPECT_EQ(product(kAmx, type, Layout::amx, fewest - 1), Arithmetic::engine);
    EXPECT_EQ(product(kAmx, type, Layout::amx, fewest), Arithmetic::bf16_amx);
  }
  for (const char* half : {"f16", "bf16"}) {
    EXPECT_EQ(product(kAmx, half, Layout::plain, 23), Arithmetic::engine);
    EXPECT_EQ(product(kAmx, half, Layout::plain, 24), Arithmetic::bf16_amx);
  }
  EXPECT_EQ(product(kAmx, "iq3_s", Layout::plain, 63), Arithmetic::engine);
  EXPECT_EQ(product(kAvx512Vnni, "f16", Layout::plain, 63), Arithmetic::engine);
  EXPECT_EQ(product(kAvx512Vnni, "f16", Layout::plain, 64), Arithmetic::words);
  EXPECT_EQ(product(kAvx2, "q6_K", Layout::plain, 63), Arithmetic::engine);
}

}  // namespace
}  // namespace chunkkv::kernels
