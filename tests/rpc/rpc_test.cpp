// A model over two servers and this machine gives the same as in one process. These tests are a program of
// their own because the engine never forgets a device.
#include <chunkkv/devices.h>
#include <chunkkv/error.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "rpc_server.h"
#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/small_cache.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNPrompt = 200, kNKept = 60;

struct Result {
  std::vector<LayerKept> kept;
  std::vector<float> logits;
};

/// The share of the entries in `expected` that are in `actual` as well.
double overlap(const std::vector<LayerKept>& expected, const std::vector<LayerKept>& actual) {
  std::size_t common = 0, total = 0;
  for (std::size_t layer = 0; layer < expected.size(); ++layer)
    for (std::size_t head = 0; head < expected[layer].heads.size(); ++head) {
      const auto& a = expected[layer].heads[head];
      const auto& b = actual.at(layer).heads.at(head);
      total += a.size();
      for (const std::int32_t entry : a) common += std::size_t(std::binary_search(b.begin(), b.end(), entry));
    }
  return double(common) / double(total);
}

class Rpc : public testing::TestWithParam<NamedModel> {
 protected:
  std::string file_ = write_tiny_model(GetParam().model, tiny_folder());
  std::mt19937 random_{random_seed()};
  std::vector<Token> tokens_ = random_tokens(random_, kNPrompt);

  /// What the method chooses with these options, and the logits after compressing to that, or to `kept`.
  Result compressed(ModelOptions options, const char* method,
                    const std::vector<LayerKept>* kept = nullptr) const {
    options.fast_prefill = false;  // the servers have the engine's kernels
    Session session(Model::load(file_, options), cells_of_two(512));
    const Plan plan{make_method(method), Budget::tokens(kNKept)};
    session.sequence().prefill(tokens_, {&plan, 1});
    Result result;
    result.kept = session.sequence().selection().layers;
    session.sequence().compress(kept != nullptr ? *kept : result.kept);
    result.logits = logits_after(session, {7, 9, 40});
    return result;
  }
};

TEST_P(Rpc, TwoServersAndThisMachineGiveWhatOneProcessGives) {
  static const RpcServer first, second;
  const std::vector<std::string> addresses = {first.address(), second.address()};
  add_rpc_servers(addresses);
  const std::vector<std::string> devices = {"RPC0", "RPC1"};
  for (const char* method : {"snapkv:window=16", "h2o", "rkv", "keydiff", "hybrid:after=0"}) {
    const Result here = compressed({.devices = {"none"}}, method);
    for (const std::int32_t n_gpu_layers : {2, 99}) {
      const Result spread =
          compressed({.n_gpu_layers = n_gpu_layers, .devices = devices}, method, &here.kept);
      // Statistics are added up in another order by our kernels and by the servers: near ties may differ.
      EXPECT_GT(overlap(here.kept, spread.kept), 0.97)
          << method << ", " << n_gpu_layers << " layers elsewhere";
      EXPECT_EQ(here.logits, spread.logits) << method << ", " << n_gpu_layers << " layers elsewhere";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Rpc,
                         testing::Values(NamedModel{"llama", {}},
                                         NamedModel{"qwen3next", {.architecture = "qwen3next", .n_layer = 8}},
                                         NamedModel{"gemma3", {.architecture = "gemma3", .n_layer = 7}}),
                         [](const auto& info) { return info.param.name; });

TEST(RpcServers, AreRefusedWithWhatToDo) {
  const auto add = [](const char* server) {
    const std::vector<std::string> servers = {server};
    add_rpc_servers(servers);
  };
  EXPECT_THROW(add("127.0.0.1"), UsageError);
  EXPECT_THROW(add(":50052"), UsageError);
  EXPECT_THROW(add("127.0.0.1:0"), UsageError);
  EXPECT_THROW(add("127.0.0.1:70000"), UsageError);
  EXPECT_THROW(add("127.0.0.1:5x"), UsageError);
  std::string address;
  {
    const RpcServer gone;
    address = gone.address();
  }
  try {
    add(address.c_str());
    ADD_FAILURE() << "nobody listens there";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("ggml-rpc-server"), std::string::npos) << error.what();
  }
}

TEST(RpcServers, DevicesThatThereAreNotAreRefused) {
  const std::string file = write_tiny_model({}, tiny_folder());
  EXPECT_THROW(Model::load(file, {.devices = {"CUDA7"}}), UsageError);
  EXPECT_THROW(Model::load(file, {.devices = {"CPU"}}), UsageError);
  EXPECT_THROW(Model::load(file, {.tensor_split = {1, -1}}), UsageError);
  EXPECT_THROW(Model::load(file, {.tensor_places = {{"exps", "nowhere"}}}), UsageError);
  Model::load(file, {.devices = {"none"}, .tensor_places = {{"ffn", "CPU"}}});
}

}  // namespace
}  // namespace chunkkv::test
