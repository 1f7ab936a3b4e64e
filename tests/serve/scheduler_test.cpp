// Requests to a scheduler, which runs over one session in a thread of its own, as in the server.
#include "serve/serving.h"

#include "support/damaged_model.h"
#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <chunkkv/error.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace chunkkv::test {
namespace {

TEST(Scheduler, AnswersAsTheLibrary) {
  SchedulerFixture world(options(1024));
  world.start();
  for (const std::int32_t n : {1, 5, 63, 64, 65, 300}) {
    const Tokens prompt = prompt_of(std::uint32_t(n), n);
    const Reply reply = world.ask({.prompt = prompt, .n_predict = 12});
    ASSERT_TRUE(reply.end) << reply.message;
    EXPECT_EQ(reply.tokens, by_the_library(prompt, 12)) << n;
    EXPECT_EQ(reply.end->n_prompt, n);
    EXPECT_EQ(reply.read(), n);
  }
}

TEST(Scheduler, CompressesAsTheLibrary) {
  for (const char* method : {"snapkv", "chunkkv", "streamingllm", "h2o"}) {
    SchedulerFixture world(options(1024));
    world.start();
    const Tokens prompt = prompt_of(7, 300);
    Request request{.prompt = prompt, .n_predict = 12};
    request.kv = settings((std::string(R"({"keep": "30%", "method": ")") + method + "\"}").c_str());
    const Reply reply = world.ask(request);
    ASSERT_TRUE(reply.end) << reply.message;
    Task task;
    task.prompt.tokens = prompt;
    task.kv = request.kv;
    const Plan plan = plan_of(task);
    EXPECT_EQ(reply.tokens, by_the_library(prompt, 12, &plan)) << method;
    EXPECT_LE(reply.end->kv["kept"].get<std::int32_t>(), 90) << method;  // fewer in whole chunks
    EXPECT_GE(reply.end->kv["kept"].get<std::int32_t>(), 75) << method;
  }
}

/// A window forgets: such a conversation can go back to the end of its prompt only, and no more once the
/// answer's first tokens have compressed it.
TEST(Scheduler, APromptGoesOnOtherwiseAfterACompressionWhileAnswering) {
  const auto windowed = Model::load(write_tiny_model({.architecture = "gemma2", .n_layer = 4}, tiny_folder()),
                                    exact_attention());
  SchedulerFixture world(options(1024, 4), {}, windowed);
  world.start();
  Request request{.prompt = prompt_of(11, 300), .n_predict = 30, .extra = R"({"ignore_eos": true})"};
  request.kv = settings(R"({"method": "hybrid", "keep": "30%"})");
  const Reply first = world.ask(request);
  ASSERT_TRUE(first.end) << first.message;
  EXPECT_LT(first.end->kv["kept"].get<std::int32_t>(), 120);
  // Another text than the answer follows the prompt.
  request.prompt = joined(request.prompt, prompt_of(12, 40));
  const Reply second = world.ask(request);
  ASSERT_TRUE(second.end) << second.message;
  EXPECT_EQ(second.reused(), 0);
}

TEST(Scheduler, LogitsThatAreNoNumbersFailARequest) {
  SchedulerFixture world(options(1024), {}, Model::load(write_damaged_model()));
  world.start();
  const Reply reply = world.ask({.prompt = prompt_of(13, 40), .n_predict = 4});
  EXPECT_EQ(reply.fault, Fault::internal);
  EXPECT_NE(reply.message.find("token 0 is nan"), std::string::npos) << reply.message;
}

TEST(Scheduler, SeveralAtOnce) {
  SchedulerFixture world(options(2048), {.n_parallel = 3});
  world.start();
  std::vector<Tokens> prompts;
  std::vector<PendingRequest> asked;
  for (std::uint32_t i = 0; i < 6; ++i) {
    prompts.push_back(prompt_of(100 + i, 40 + 50 * std::int32_t(i)));
    asked.push_back(world.hand_in({.prompt = prompts.back(), .n_predict = 20}));
  }
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Reply& reply = asked[i].wait().front();
    ASSERT_TRUE(reply.end) << reply.message;
    expect_greedy(prompts[i], reply.tokens);
  }
}

TEST(Scheduler, AClientThatGoesFreesItsPlace) {
  SchedulerFixture world(options(512), {.n_parallel = 1});
  world.start();
  PendingRequest gone =
      world.hand_in({.prompt = prompt_of(1, 50), .n_predict = 400, .extra = R"({"ignore_eos": true})"});
  ASSERT_TRUE(gone.take(kTimeout));
  PendingRequest waits = world.hand_in({.prompt = prompt_of(2, 50), .n_predict = 5});
  PendingRequest gone_early = world.hand_in({.prompt = prompt_of(3, 50), .n_predict = 400});
  gone_early.channel->cancel();
  gone.channel->cancel();
  EXPECT_TRUE(waits.wait().front().end);
  world.wait_until_idle();
  EXPECT_EQ(world.values().cancelled, 2);
  EXPECT_EQ(world.values().generating + world.values().reading, 0);
  world.clear_all();
  EXPECT_EQ(world.cells_used(), 0);
}

TEST(Scheduler, AQueueHasAnEnd) {
  SchedulerFixture world(options(512), {.most_queued = 2});
  std::vector<PendingRequest> asked;
  for (std::uint32_t i = 0; i < 4; ++i) asked.push_back(world.hand_in({.prompt = prompt_of(i, 20)}));
  EXPECT_TRUE(asked[0].is_taken);
  EXPECT_TRUE(asked[1].is_taken);
  EXPECT_FALSE(asked[2].is_taken);
  EXPECT_FALSE(asked[3].is_taken);
  EXPECT_EQ(world.values().refused, 2);
  world.start();
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(asked[i].wait().front().end);
  EXPECT_TRUE(world.ask({.prompt = prompt_of(9, 20)}).end);
}

TEST(Scheduler, WhatIsTooLongIsRefusedAlone) {
  SchedulerFixture world(options(256));
  world.start();
  PendingRequest fits = world.hand_in({.prompt = prompt_of(1, 100), .n_predict = 30});
  const Reply reply = world.ask({.prompt = prompt_of(2, 300)});
  EXPECT_EQ(reply.fault, Fault::too_long);
  expect_mentions(reply.message, {"300", "256"});
  EXPECT_TRUE(fits.wait().front().end);
  // A prompt longer than the model was trained for is refused, whatever would be dropped of it.
  Request longer{.prompt = prompt_of(3, 5000)};
  longer.kv = settings(R"({"method": "snapkv", "keep": 64})");
  EXPECT_EQ(world.ask(longer).fault, Fault::too_long);
  // A prompt longer than the cells has room when it is read in pieces.
  Request pieces{.prompt = prompt_of(4, 1000)};
  pieces.kv = settings(R"({"method": "snapkv", "keep": 64})");
  EXPECT_TRUE(world.ask(pieces).end);
  world.clear_all();
  EXPECT_EQ(world.cells_used(), 0);
}

TEST(Scheduler, AnswersToOnePromptReadItOnce) {
  SchedulerFixture world(options(1024));
  world.start();
  const Tokens prompt = prompt_of(5, 150);
  PendingRequest asked = world.hand_in({.prompt = prompt, .n_predict = 10, .n_answers = 3});
  for (const Reply& reply : asked.wait()) {
    ASSERT_TRUE(reply.end) << reply.message;
    expect_greedy(prompt, reply.tokens);
  }
  EXPECT_EQ(world.values().tokens_read, 150);
  // There are more answers than can be generated together.
  SchedulerFixture narrow(options(1024), {.n_parallel = 2});
  narrow.start();
  PendingRequest more = narrow.hand_in({.prompt = prompt, .n_predict = 4, .n_answers = 5});
  for (const Reply& reply : more.wait()) EXPECT_TRUE(reply.end) << reply.message;
  EXPECT_LE(narrow.values().tokens_read, 150 + 5);
}

TEST(Scheduler, ASamplerThatFailsEndsItsOwnAnswerOnly) {
  SchedulerFixture world(options(1024));
  world.start();
  PendingRequest other =
      world.hand_in({.prompt = prompt_of(1, 40), .n_predict = 200, .extra = R"({"ignore_eos": true})"});
  ASSERT_TRUE(other.take(kTimeout));
  // The grammar leaves no token to choose: the model has none for its character.
  PendingRequest fails =
      world.hand_in({.prompt = prompt_of(2, 40),
                     .n_predict = 5,
                     .n_answers = 3,
                     .extra = "{\"grammar\": \"root ::= \\\"\\\\U0001F600\\\" root\", \"ignore_eos\": true, "
                              "\"temperature\": 1}"});
  for (const Reply& reply : fails.wait()) EXPECT_FALSE(reply.is_open());
  const Reply& reply = other.wait().front();
  ASSERT_TRUE(reply.end) << reply.message;
  EXPECT_EQ(reply.tokens.size(), 200U);
}

TEST(Scheduler, ASecondTurnReadsOnlyWhatIsNew) {
  SchedulerFixture world(options(1024));
  world.start();
  const Tokens prompt = prompt_of(11, 200);
  const Reply first = world.ask({.prompt = prompt, .n_predict = 10});
  ASSERT_TRUE(first.end);
  const Tokens second = joined(joined(prompt, first.tokens), prompt_of(12, 30));
  const Reply reply = world.ask({.prompt = second, .n_predict = 10});
  ASSERT_TRUE(reply.end);
  EXPECT_GE(reply.reused(), 200 + std::int32_t(first.tokens.size()) - 1);
  EXPECT_EQ(reply.read(), std::int32_t(second.size()) - reply.reused());
  EXPECT_TRUE(reply.end->kv["reread_reason"].is_null());
  expect_greedy(second, reply.tokens);
  // The first prompt asked once more has one token to read.
  const Reply again = world.ask({.prompt = prompt, .n_predict = 10});
  EXPECT_GE(again.reused(), 199);
  expect_greedy(prompt, again.tokens);
}

TEST(Scheduler, QuestionsOfOneSourceAreChosenForAnew) {
  SchedulerFixture world(options(1024), {.source_bytes = 64U << 20});
  world.start();
  const Tokens document = prompt_of(21, 320);
  Request request{.n_predict = 8};
  request.kv = settings(R"({"method": "snapkv", "keep": "30%", "source": true})");
  for (std::uint32_t question = 0; question < 3; ++question) {
    request.prompt = joined(document, prompt_of(30 + question, 40));
    const Reply reply = world.ask(request);
    ASSERT_TRUE(reply.end) << reply.message;
    if (question > 0) {
      EXPECT_GE(reply.reused(), 192) << reply.end->kv;
    }
    SchedulerFixture fresh(options(1024), {.source_bytes = 64U << 20});
    EXPECT_EQ(reply.tokens, fresh.start().ask(request).tokens) << question;
  }
}

TEST(Scheduler, WhatLeavesTheCellsComesBackFromHostMemory) {
  SchedulerFixture world(options(512), {.source_bytes = 64U << 20});
  world.start();
  const Tokens prompt = prompt_of(41, 200);
  const Reply first = world.ask({.prompt = prompt, .n_predict = 4});
  ASSERT_TRUE(first.end);
  ASSERT_TRUE(world.ask({.prompt = prompt_of(42, 400), .n_predict = 4}).end);
  std::size_t n_copies = 0;
  world.scheduler.between_steps([&] { n_copies = world.scheduler.store().copies().size(); });
  EXPECT_EQ(n_copies, 1U);
  const Tokens second = joined(joined(prompt, first.tokens), prompt_of(43, 20));
  const Reply reply = world.ask({.prompt = second, .n_predict = 8});
  ASSERT_TRUE(reply.end) << reply.message;
  EXPECT_GE(reply.reused(), 200);
  EXPECT_LE(reply.read(), 25);
  EXPECT_TRUE(reply.end->kv["reread_reason"].is_null());
  expect_greedy(second, reply.tokens);
}

TEST(Scheduler, WithoutHostMemoryItIsReadAgainAndSaidWhy) {
  SchedulerFixture world(options(512));
  world.start();
  const Tokens prompt = prompt_of(51, 200);
  ASSERT_TRUE(world.ask({.prompt = prompt, .n_predict = 4}).end);
  ASSERT_TRUE(world.ask({.prompt = prompt_of(52, 400), .n_predict = 4}).end);
  const Reply reply = world.ask({.prompt = prompt, .n_predict = 4});
  ASSERT_TRUE(reply.end);
  EXPECT_EQ(reply.read(), 200);
  expect_mentions(reply.end->kv["reread_reason"].get<std::string>(), {"host memory"});
}

TEST(Scheduler, TellsEveryoneThatItStops) {
  SchedulerFixture world(options(512), {.n_parallel = 1});
  world.start();
  PendingRequest in_work =
      world.hand_in({.prompt = prompt_of(1, 50), .n_predict = 400, .extra = R"({"ignore_eos": true})"});
  ASSERT_TRUE(in_work.take(kTimeout));
  PendingRequest waits = world.hand_in({.prompt = prompt_of(2, 50), .n_answers = 2});
  world.stop();
  EXPECT_EQ(in_work.wait().front().fault, Fault::busy);
  for (const Reply& reply : waits.wait()) EXPECT_EQ(reply.fault, Fault::busy);
  EXPECT_FALSE(world.hand_in({.prompt = prompt_of(3, 5)}).is_taken);
  EXPECT_THROW(world.scheduler.between_steps([] {}), Error);
}

TEST(Scheduler, TellsWhatCameInAsItStopped) {
  SchedulerFixture world(options(512));
  PendingRequest asked = world.hand_in({.prompt = prompt_of(1, 50)});
  world.scheduler.stop();
  world.start().stop();
  EXPECT_EQ(asked.wait().front().fault, Fault::busy);
}

TEST(Scheduler, BetweenStepsHandsErrorsOn) {
  SchedulerFixture world(options(512));
  world.start();
  EXPECT_THROW(world.scheduler.between_steps([] { throw UsageError("no"); }), UsageError);
  int n = 0;
  world.scheduler.between_steps([&] { ++n; });
  EXPECT_EQ(n, 1);
}

/// A client that asks, waits, leaves and clears at random.
void live_at_random(SchedulerFixture& world, std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto below = [&](int n) { return int(random() % std::uint32_t(n)); };
  const char* const fields[] = {
      "null",
      "null",
      R"({"method": "snapkv", "keep": "30%"})",
      R"({"method": "chunkkv", "keep": 40, "cells": 160})",
      R"({"method": "streamingllm", "keep": "50%"})",
      R"({"method": "snapkv", "keep": "30%", "source": true})",
  };
  std::vector<PendingRequest> open;
  for (int round = 0; round < 40; ++round) {
    // Few beginnings, so that there is something to reuse, to wait for and to evict.
    Tokens prompt = prompt_of(std::uint32_t(below(3)), 20 + 90 * below(5));
    if (below(3) > 0) prompt = joined(prompt, prompt_of(std::uint32_t(1000 + below(20)), 1 + below(60)));
    Request request{.prompt = std::move(prompt), .n_predict = below(25), .n_answers = below(6) == 0 ? 2 : 1};
    request.kv = settings(fields[below(int(std::size(fields)))]);
    PendingRequest asked = world.hand_in(request);
    if (asked.is_taken) open.push_back(std::move(asked));
    if (below(4) == 0 && !open.empty()) {
      PendingRequest& leaves = open[std::size_t(below(int(open.size())))];
      if (below(2) == 0) leaves.take(50ms);
      leaves.channel->cancel();
      std::swap(leaves, open.back());
      open.pop_back();
    }
    if (below(6) == 0)
      world.scheduler.between_steps([&] {
        for (Conversation& c : world.scheduler.conversations().all())
          if (!c.is_busy && below(2) == 0) world.scheduler.conversations().clear(c);
      });
    while (open.size() > 4) {
      for (const Reply& reply : open.front().wait()) {
        EXPECT_TRUE(reply.end || reply.fault == Fault::too_long) << reply.message;
        if (reply.end) {
          EXPECT_EQ(reply.reused() + reply.read(), reply.end->n_prompt) << reply.end->kv;
        }
      }
      open.erase(open.begin());
    }
  }
  for (PendingRequest& asked : open) asked.wait();
}

TEST(Scheduler, RandomLivesGiveEveryCellBack) {
  SchedulerFixture world(options(640, 6), {.n_parallel = 3, .most_queued = 8, .source_bytes = 1U << 20});
  world.start();
  const std::uint32_t seed = random_seed();
  std::vector<std::thread> clients;
  for (std::uint32_t i = 0; i < 3; ++i)
    clients.emplace_back([&world, seed, i] { live_at_random(world, seed + i); });
  for (std::thread& client : clients) client.join();
  world.wait_until_idle();
  EXPECT_TRUE(world.ask({.prompt = prompt_of(99, 300)}).end);
  world.wait_until_idle();
  world.clear_all();
  EXPECT_EQ(world.cells_used(), 0);
  std::uint64_t held = 0, bound = 0;
  world.scheduler.between_steps([&] {
    held = world.scheduler.store().bytes();
    bound = world.scheduler.store().most_bytes();
  });
  EXPECT_LE(held, bound);
}

}  // namespace
}  // namespace chunkkv::test
