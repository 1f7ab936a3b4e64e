// Models of real shapes without trained weights.
#include "synthetic/synthetic_model.h"

#include <chunkkv/error.h>

#include "unit/expect_throw.h"
#include "unit/temporary_folder.h"

#include <gtest/gtest.h>

#include <map>

namespace chunkkv::eval {
namespace {

using test::content;
using test::expect_mentions;
using test::message_of;
using test::TemporaryFolder;

TEST(Shapes, HaveAsManyParametersAsTheModelsTheyAreNamedAfter) {
  // The numbers on the models' own pages.
  const std::map<std::string, std::uint64_t> published = {
      {"llama-3.1-8b", 8030261248},  {"llama-3.2-1b", 1235814400}, {"llama-3.2-3b", 3212749824},
      {"mistral-7b", 7248023552},    {"qwen2.5-0.5b", 494032768},  {"qwen2.5-1.5b", 1543714304},
      {"qwen2.5-7b", 7615616512},    {"qwen3-8b", 8190735360},     {"mixtral-8x7b", 46702792704},
      {"qwen3-30b-a3b", 30532122624}};
  for (const ModelShape& shape : model_shapes()) {
    if (shape.name.starts_with("tiny")) continue;
    EXPECT_EQ(synthetic_bytes(shape, GGML_TYPE_F32) / 4, published.at(shape.name)) << shape.name;
  }
  EXPECT_EQ(model_shapes().size(), published.size() + 2);
}

TEST(Shapes, TakeOtherSizes) {
  const ModelShape shape = parse_shape("llama-3.1-8b:layers=2,vocab=1000,context=64");
  EXPECT_EQ(shape.n_layer, 2U);
  EXPECT_EQ(shape.n_vocab, 1000U);
  EXPECT_EQ(shape.n_ctx_train, 64U);
  EXPECT_EQ(shape.n_embd, 4096U);
  EXPECT_EQ(synthetic_name(shape, GGML_TYPE_Q4_0), "synthetic-llama-3.1-8b-layers2-vocab1000-context64-q4_0");
  EXPECT_EQ(synthetic_name(parse_shape("tiny"), GGML_TYPE_F16), "synthetic-tiny-f16");
  EXPECT_EQ(synthetic_name(parse_shape("tiny:layers=2"), GGML_TYPE_F16), "synthetic-tiny-f16");
}

TEST(Shapes, AreRefusedWhereThereAreNone) {
  expect_mentions(message_of<UsageError>([] { parse_shape("gpt-9"); }),
                  {"gpt-9", "llama-3.1-8b", "qwen2.5-1.5b"});
  for (const char* wrong : {"tiny:", "tiny:layers", "tiny:layers=", "tiny:layers=0", "tiny:layers=2x",
                            "tiny:width=4", "tiny:vocab=100", "tiny:layers=2,", "tiny:=2"})
    expect_mentions(message_of<UsageError>([&] { parse_shape(wrong); }), {"layers=N"});
  expect_mentions(message_of<UsageError>([] { parse_weight_type("f12"); }), {"f12", "q4_0"});
}

TEST(SyntheticModel, IsWrittenWholeAndAlwaysTheSame) {
  const TemporaryFolder folder;
  for (const char* size : {"tiny", "tiny-mixture"})
    for (const char* type : {"f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "mxfp4"}) {
      const ModelShape shape = parse_shape(size);
      for (const char* name : {"a", "b"}) {
        write_synthetic_model(shape, parse_weight_type(type), folder.file(name));
        EXPECT_EQ(gguf_name(folder.file(name)), std::string("synthetic-") + size + "-" + type);
      }
      EXPECT_EQ(content(folder.file("a")), content(folder.file("b")));
      EXPECT_GE(content(folder.file("a")).size(), synthetic_bytes(shape, parse_weight_type(type)));
    }
  EXPECT_EQ(folder.n_files(), 2U);
}

TEST(SyntheticModel, HasRowsOfWholeBlocks) {
  for (const char* shape : {"tiny", "tiny-mixture"})
    for (const char* type : {"q6_K", "q5_K", "q4_K"})
      expect_mentions(
          message_of<UsageError>([&] { synthetic_bytes(parse_shape(shape), parse_weight_type(type)); }),
          {type, "f16"});
  // 144 bytes for 256 weights.
  EXPECT_EQ(synthetic_bytes(parse_shape("llama-3.2-1b:layers=1,vocab=512"), GGML_TYPE_Q4_K),
            std::uint64_t(512 * 2048 + 2048 * (2 * 2048 + 2 * 512 + 3 * 8192)) / 256 * 144 + 3 * 2048 * 4);
}

TEST(SyntheticModel, LeavesNothingWhenItIsInterrupted) {
  const TemporaryFolder folder;
  int calls = 0;
  EXPECT_THROW(write_synthetic_model(parse_shape("tiny"), GGML_TYPE_F16, folder.file("a"),
                                     [&](std::uint64_t) { return ++calls < 4; }),
               Interrupted);
  EXPECT_EQ(folder.n_files(), 0U);
}

TEST(SyntheticModel, NamesAFolderThatIsNotThere) {
  expect_mentions(
      message_of<Error>([] { write_synthetic_model(parse_shape("tiny"), GGML_TYPE_F16, "/no/such/a"); }),
      {"/no/such/a"});
}

TEST(GgufName, IsEmptyForOtherFiles) {
  const TemporaryFolder folder;
  EXPECT_EQ(gguf_name(folder.file("none")), "");
  test::put(folder.file("text"), "some text");
  EXPECT_EQ(gguf_name(folder.file("text")), "");
}

TEST(GgufWriter, PutsTensorsWhereTheFileSaysTheyAre) {
  const TemporaryFolder folder;
  GgufWriter writer("llama");
  // Odd sizes, so that padding matters; the last one is larger than a part.
  const std::vector<std::int64_t> sizes = {3, 33, 5, 3000001};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    writer.add("t" + std::to_string(i), {&sizes[i], 1}, GGML_TYPE_F32,
               [value = float(i) * 1e6F](std::span<std::byte> part) mutable {
                 auto* numbers = reinterpret_cast<float*>(part.data());
                 for (std::size_t k = 0; k < part.size() / sizeof(float); ++k) numbers[k] = value++;
               });
  }
  EXPECT_EQ(writer.n_bytes(), 4U * (3 + 33 + 5 + 3000001));
  writer.write(folder.file("a"));

  ggml_context* tensors = nullptr;
  gguf_context* file = gguf_init_from_file(folder.file("a").c_str(), {false, &tensors});
  ASSERT_NE(file, nullptr);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const ggml_tensor* tensor = ggml_get_tensor(tensors, ("t" + std::to_string(i)).c_str());
    ASSERT_NE(tensor, nullptr);
    ASSERT_EQ(tensor->ne[0], sizes[i]);
    const auto* numbers = static_cast<const float*>(tensor->data);
    std::int64_t wrong = 0;
    for (std::int64_t k = 0; k < sizes[i]; ++k) wrong += numbers[k] != float(i) * 1e6F + float(k);
    EXPECT_EQ(wrong, 0) << i;
  }
  gguf_free(file);
  ggml_free(tensors);
}

}  // namespace
}  // namespace chunkkv::eval
