// Beginnings that several conversations have in common.
#include "serve/serving.h"

namespace chunkkv::test {
namespace {

/// A prompt of the first `n` tokens of another and `n_more` new ones.
Tokens begun_with(const Tokens& other, std::int32_t n, std::uint32_t seed, std::int32_t n_more) {
  return joined(Tokens(other.begin(), other.begin() + n), prompt_of(seed, n_more));
}

TEST(SharedBeginning, IsReadOnceWhileTheFirstIsAtWork) {
  SchedulerFixture world(options(1024));
  world.start();
  const Tokens prompt = prompt_of(51, 300), second = begun_with(prompt, 250, 52, 60);
  PendingRequest first =
      world.hand_in({.prompt = prompt, .n_predict = 150, .extra = R"({"ignore_eos": true})"});
  ASSERT_TRUE(first.take(kTimeout));
  const Reply reply = world.ask({.prompt = second, .n_predict = 10});
  ASSERT_TRUE(reply.end) << reply.message;
  EXPECT_EQ(reply.reused(), 250);
  EXPECT_EQ(reply.read(), 60);
  EXPECT_TRUE(reply.end->kv["reread_reason"].is_null());
  expect_greedy(second, reply.tokens);
  const Reply& other = first.wait().front();
  ASSERT_TRUE(other.end) << other.message;
  expect_greedy(prompt, other.tokens, true);
  EXPECT_LE(world.cells_used(), 300 + 150 + 60 + 10);
}

TEST(SharedBeginning, OfPromptsThatComeTogetherIsWaitedFor) {
  SchedulerFixture world(options(2048));
  world.start();
  const Tokens prompt = prompt_of(53, 600);
  std::vector<Tokens> prompts;
  std::vector<PendingRequest> asked;
  for (std::uint32_t i = 0; i < 4; ++i) {
    prompts.push_back(begun_with(prompt, 500, 60 + i, 50));
    Request request{.prompt = prompts.back(), .n_predict = 10};
    request.kv = settings(R"({"method": "snapkv", "keep": 100, "protect": 500})");  // raises the budget
    asked.push_back(world.hand_in(request));
  }
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Reply& reply = asked[i].wait().front();
    ASSERT_TRUE(reply.end) << reply.message;
    EXPECT_EQ(reply.reused(), i == 0 ? 0 : 500) << i;
  }
  EXPECT_EQ(world.values().tokens_read, 550 + 3 * 50);
  world.clear_all();
  EXPECT_EQ(world.cells_used(), 0);
}

TEST(SharedBeginning, OutlivesWhatIsDroppedAfterIt) {
  SchedulerFixture world(options(2048));
  world.start();
  const Tokens system = prompt_of(54, 200);
  Request request{.n_predict = 4};
  request.kv = settings(R"({"method": "snapkv:window=16", "keep": 260, "protect": 200})");
  std::int32_t used = 200;
  for (std::uint32_t i = 0; i < 4; ++i) {
    request.prompt = begun_with(system, 200, 70 + i, 400);
    const Reply reply = world.ask(request);
    ASSERT_TRUE(reply.end) << reply.message;
    EXPECT_EQ(reply.reused(), i == 0 ? 0 : 200) << i;
    EXPECT_EQ(reply.end->kv["kept"], 260);
    used += reply.end->kv["cells"].get<std::int32_t>() - 200;
    EXPECT_EQ(world.cells_used(), used) << "the beginning lies in one place";
  }
}

/// Four whole conversations of up to 330 tokens in 512 cells, which without sharing hold only one.
TEST(SharedBeginning, LetsMoreConversationsIn) {
  SchedulerFixture world(options(512));
  world.start();
  const Tokens document = prompt_of(55, 300);
  std::vector<PendingRequest> asked;
  for (std::uint32_t i = 0; i < 4; ++i)
    asked.push_back(world.hand_in({.prompt = begun_with(document, 290, 80 + i, 20), .n_predict = 20}));
  for (PendingRequest& each : asked) {
    const Reply& reply = each.wait().front();
    ASSERT_TRUE(reply.end) << reply.message;
    EXPECT_FALSE(reply.end->truncated);
  }
  EXPECT_LE(world.values().tokens_read, 310 + 3 * 20);
}

/// Three prompts with a long common beginning, in hardly more cells than one takes: all are compressed.
TEST(SharedBeginning, LeavesRoomForWhatAllKeep) {
  const auto seed = random_seed();
  for (const std::int32_t n_cells : {512, 576, 640, 768}) {
    SchedulerFixture world(options(n_cells));
    world.start();
    const Tokens document = prompt_of(seed, 400);
    std::vector<PendingRequest> asked;
    for (std::uint32_t i = 0; i < 3; ++i) {
      Request request{.prompt = begun_with(document, 390, seed + i, 10), .n_predict = 20};
      request.kv = settings(R"({"method": "snapkv:window=16", "keep": "50%"})");
      asked.push_back(world.hand_in(request));
    }
    for (PendingRequest& each : asked) {
      const Reply& reply = each.wait().front();
      ASSERT_TRUE(reply.end) << n_cells << " cells: " << reply.message;
      EXPECT_EQ(reply.end->kv["kept"], 200);
    }
    world.clear_all();
    EXPECT_EQ(world.cells_used(), 0);
  }
}

}  // namespace
}  // namespace chunkkv::test
