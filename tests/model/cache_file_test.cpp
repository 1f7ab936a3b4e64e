// Cache files with a model: a cache that is loaded goes on exactly as the one that was saved.
#include <chunkkv/cache_file.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>
#include <chunkkv/source.h>

#include "support/cache_info.h"
#include "support/default_model.h"
#include "support/random_input.h"
#include "support/tiny_model.h"
#include "unit/expect_throw.h"
#include "unit/temporary_folder.h"

#include <gtest/gtest.h>

namespace chunkkv::test {
namespace {

SessionOptions one_thread(CacheType type = CacheType::f16) {
  SessionOptions options;
  options.n_cells = 512;
  options.n_ubatch = 128;
  options.n_threads = 1;
  options.type_k = options.type_v = type;
  return options;
}

class SavedCache : public testing::TestWithParam<CacheType> {};

TEST_P(SavedCache, GoesOnInAnotherSession) {
  TinyModel tiny;
  tiny.head_dim = 64;
  const auto model = Model::load(write_tiny_model(tiny, tiny_folder()));
  const TemporaryFolder folder;
  const std::string path = folder.file("a.kv");
  std::mt19937 random(11);
  const auto document = random_tokens(random, 300);
  const auto question = random_tokens(random, 20);
  const Plan plan{make_method("h2o"), Budget::parse("20%")};

  Session session(model, one_thread(GetParam()));
  session.sequence().read(document, {.plan = plan});
  session.sequence().prefill(question);
  save_cache_file(path, info_of(session), session.sequence().snapshot());

  const CacheFile file = load_cache_file(path);
  Session other(model, one_thread(GetParam()));
  require_format(file.info, path, format_of(other));
  other.sequence().restore(file.snapshot);
  EXPECT_EQ(other.sequence().tokens(), session.sequence().tokens());
  // Both go on alike, also through another compression, which needs the saved attention sums.
  std::vector<std::vector<float>> logits;
  for (Session* s : {&session, &other}) {
    const Plan again{make_method("h2o"), Budget::tokens(40)};
    s->sequence().prefill(question, {&again, 1});
    s->sequence().compress(s->sequence().selection());
    s->sequence().decode(7);
    logits.emplace_back(s->logits().begin(), s->logits().end());
  }
  EXPECT_EQ(logits[0], logits[1]);
  for (std::int32_t layer = 0; layer < model->info().n_layer; ++layer)
    EXPECT_EQ(other.sequence().positions(layer, 1), session.sequence().positions(layer, 1));
}

INSTANTIATE_TEST_SUITE_P(Types, SavedCache, testing::Values(CacheType::f16, CacheType::q8_0, CacheType::q4_0),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(CacheFiles, OfATenthAreATenth) {
  const auto model = Model::load(default_model());
  const TemporaryFolder folder;
  std::mt19937 random(11);
  const auto document = random_tokens(random, 320, 40000);
  for (const CacheType type : {CacheType::f16, CacheType::q4_0}) {
    for (const char* method : {"chunkkv", "snapkv"}) {
      Session session(model, one_thread(type));
      session.sequence().read(document, {.plan = {make_method(method), Budget::parse("10%")}});
      const std::string path = folder.file("a.kv");
      save_cache_file(path, info_of(session), session.sequence().snapshot());
      const auto rows = double(session.sequence().use().bytes_used);
      EXPECT_LT(double(load_cache_file(path).bytes), 1.05 * rows) << method << ", " << to_string(type);
    }
  }
}

TEST(CacheFiles, OfAnotherModelOrTypeAreRefused) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.kv");
  std::mt19937 random(11);
  const auto one = Model::load(write_tiny_model({}, tiny_folder()));
  Session session(one, one_thread());
  session.sequence().prefill(random_tokens(random, 100));
  save_cache_file(path, info_of(session), session.sequence().snapshot());
  const CacheFileInfo info = load_cache_file(path).info;

  TinyModel other;
  other.seed += 1;  // the same shapes, other weights
  const Session weights(Model::load(write_tiny_model(other, tiny_folder())), one_thread());
  expect_mentions(message_of<Error>([&] { require_format(info, path, format_of(weights)); }),
                  {"a.kv", "other weights", "-m"});
  other.n_layer = 5;
  const Session layers(Model::load(write_tiny_model(other, tiny_folder())), one_thread());
  expect_mentions(message_of<Error>([&] { require_format(info, path, format_of(layers)); }),
                  {"another model", "5 layers", "-m"});
  const Session types(one, one_thread(CacheType::f32));
  expect_mentions(message_of<Error>([&] { require_format(info, path, format_of(types)); }),
                  {"-ctk f16 -ctv f16"});
}

TEST(ModelIdentityTest, IsTheFilesContent) {
  const std::string path = write_tiny_model({}, tiny_folder());
  const ModelIdentity identity = identify(*Model::load(path));
  EXPECT_EQ(identity.architecture, "llama");
  EXPECT_EQ(identity.file_bytes, std::filesystem::file_size(path));
  EXPECT_EQ(identity.hash.size(), 32u);

  const TemporaryFolder folder;
  const std::string copy = folder.file("copy.gguf");
  std::string bytes = content(path);
  put(copy, bytes);
  EXPECT_EQ(identify(*Model::load(copy)), identity);  // whatever its path
  bytes.back() = char(bytes.back() ^ 1);              // one bit of the weights
  put(copy, bytes);
  EXPECT_NE(identify(*Model::load(copy)).hash, identity.hash);
}

}  // namespace
}  // namespace chunkkv::test
