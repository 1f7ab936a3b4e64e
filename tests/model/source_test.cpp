// Questions about a document that is read once: for each the same is chosen as for a prompt read anew.
#include <chunkkv/registry.h>
#include <chunkkv/session.h>
#include <chunkkv/source.h>

#include "support/default_model.h"
#include "support/exact_attention.h"
#include "support/random_input.h"
#include "support/tiny_model.h"
#include "unit/expect_throw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace chunkkv::test {
namespace {

SessionOptions source_options(std::int32_t n_cells = 1024) {
  SessionOptions options;
  options.n_cells = n_cells;
  options.n_ubatch = 128;
  options.n_threads = 1;
  return options;
}

std::vector<Token> joined(std::vector<Token> a, const std::vector<Token>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Chosen {
  std::vector<LayerKept> layers;
  std::vector<float> logits;
};

Chosen anew(Session& session, const std::vector<Token>& prompt, const Plan& plan) {
  session.sequence().clear();
  session.sequence().prefill(prompt, {&plan, 1});
  Chosen chosen{session.sequence().selection().layers, {}};
  session.sequence().compress(session.sequence().selection());
  chosen.logits.assign(session.sequence().decode(9).begin(), session.logits().end());
  return chosen;
}

Chosen from(Source& source, Session& session, const std::vector<Token>& question) {
  source.ask(question);
  Chosen chosen{session.sequence().selection().layers, {}};
  chosen.logits.assign(session.sequence().decode(9).begin(), session.logits().end());
  return chosen;
}

std::string demo_text() {
  std::ifstream file(std::string(CHUNKKV_TEST_FIXTURES) + "/../../examples/demo/railway.txt");
  return {std::istreambuf_iterator<char>(file), {}};
}

class Sources : public testing::TestWithParam<const char*> {};

TEST_P(Sources, ChooseAsIfThePromptWereReadAnew) {
  const auto model = Model::load(default_model());
  const std::vector<Token> text = model->tokenize(demo_text(), true, false);
  const Plan plan{make_method(GetParam()), Budget::parse("20%")};
  Session session(model, source_options());
  Session other(model, source_options());
  // Prompts that end in the middle of a micro-batch of 128, and shortly after one.
  for (const std::size_t n_document : {300u, 380u}) {
    const std::vector<Token> document(text.begin(), text.begin() + std::ptrdiff_t(n_document));
    Source source(session.sequence(), document, plan);
    for (const char* asked : {"\n\nWho?", "\n\nWhere does the key to the signal box hang?"}) {
      const auto question = model->tokenize(asked, false, false);
      const Chosen expected = anew(other, joined(document, question), plan);
      const Chosen actual = from(source, session, question);
      EXPECT_TRUE(actual.layers == expected.layers) << n_document << asked;
      EXPECT_TRUE(actual.logits == expected.logits) << n_document << asked;
      EXPECT_EQ(session.sequence().n_entries(), other.sequence().n_entries());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, Sources,
                         testing::Values("chunkkv", "snapkv", "h2o", "rkv", "hybrid:queries=all"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
                           return name;
                         });

class TinySources : public testing::Test {
 protected:
  std::shared_ptr<Model> model = Model::load(write_tiny_model({}, tiny_folder()), exact_attention());
  std::mt19937 random{7};
  std::vector<Token> document = random_tokens(random, 300);
  std::vector<Token> question = random_tokens(random, 20);
};

TEST_F(TinySources, AppendingIsReadingALongerDocument) {
  const Plan plan{make_method("h2o"), Budget::tokens(80)};
  Session session(model, source_options());
  Source source(session.sequence(), document, plan);
  for (int turn = 0; turn < 6; ++turn) {  // more than a micro-batch in all, so that the copy grows
    source.append(question);
    document = joined(document, question);
    const auto next = random_tokens(random, 25);
    Session other(model, source_options());
    EXPECT_TRUE(from(source, session, next).layers == anew(other, joined(document, next), plan).layers);
    source.append(next);
    document = joined(document, next);
    EXPECT_EQ(source.n_tokens(), std::int64_t(document.size()));
  }
  EXPECT_GT(source.snapshot().n_entries, 300);
}

TEST_F(TinySources, ADocumentShorterThanTheWindowIsReadWithTheQuestion) {
  const Plan plan{make_method("snapkv:window=32"), Budget::tokens(35)};
  document.resize(20);
  Session session(model, source_options());
  Source source(session.sequence(), document, plan);
  EXPECT_EQ(source.snapshot().n_entries, 0);
  Session other(model, source_options());
  EXPECT_TRUE(from(source, session, question).layers == anew(other, joined(document, question), plan).layers);
}

TEST_F(TinySources, AnInterruptedQuestionCanBeAskedAgain) {
  const Plan plan{make_method("snapkv"), Budget::tokens(50)};
  Session session(model, source_options());
  Source source(session.sequence(), document, plan);
  const Chosen before = from(source, session, question);
  EXPECT_THROW(source.ask(question, [](const ReadState&) { return false; }), Interrupted);
  EXPECT_TRUE(from(source, session, question).layers == before.layers);
}

TEST_F(TinySources, APlanThatObservesMoreIsRefusedWithWhatToDo) {
  Session session(model, source_options());
  Source source(session.sequence(), document, {make_method("snapkv"), Budget::tokens(50)});
  EXPECT_EQ(source.rest().size(), 300u - 128u);  // whole tiles of 64, and at least two left
  const auto refusal = [&](const char* spec) {
    return message_of<UsageError>([&] { source.set_plan({make_method(spec), Budget::tokens(50)}); });
  };
  expect_mentions(refusal("snapkv:window=200"), {"172 tokens", "observes 200", "make the source with"});
  expect_mentions(refusal("h2o"), {"all queries", "h2o", "make the source with"});
  source.set_plan({make_method("tova"), Budget::tokens(50)});
  source.ask(question);
  EXPECT_EQ(session.sequence().selection().n_kept, 50);
  EXPECT_THROW(source.ask({}), UsageError);

  const Snapshot compressed = session.sequence().snapshot();
  EXPECT_THROW(Source(session.sequence(), compressed, {}, {make_method("knorm"), Budget::tokens(9)}),
               UsageError);
}

TEST_F(TinySources, AQuestionThatDoesNotStayOnlyChooses) {
  // Its attention alone gives SnapKV's scores with a window as long as the question. Alone it is so short
  // that the engine multiplies it, which rounds otherwise.
  Plan plan{make_method("snapkv:window=20,kernel=1"), Budget::tokens(60)};
  plan.keep_scores = true;
  Session session(model, source_options());
  session.sequence().prefill(joined(document, question), {&plan, 1});
  const Selection expected = session.sequence().selection();

  session.sequence().clear();
  const Reading reading{.plan = plan, .n_question = std::int32_t(question.size()), .keep_question = false};
  EXPECT_EQ(session.sequence().read(joined(document, question), reading), 1);
  EXPECT_EQ(session.sequence().tokens(), document);
  EXPECT_EQ(session.sequence().n_entries(), 60);
  EXPECT_EQ(session.sequence().next_position(), 300);
  const Selection& actual = session.sequence().selection();
  ASSERT_EQ(actual.n_entries, 300);
  for (std::size_t layer = 0; layer < actual.scores.size(); ++layer)
    for (std::int32_t head = 0; head < actual.scores[layer].n_heads; ++head)
      for (std::int32_t i = 0; i < 300; ++i)
        ASSERT_NEAR(actual.scores[layer].head(head)[i], expected.scores[layer].head(head)[i],
                    0.04 * expected.scores[layer].head(head)[i])
            << "layer " << layer << ", head " << head << ", entry " << i;

  // In pieces, and with a document that fits only without the question.
  for (const std::int32_t cells : {200, 310, 319, 320}) {
    Session small(model, source_options(cells));
    Reading pieces = reading;
    pieces.n_cells = cells;
    pieces.piece = 64;
    small.sequence().read(joined(document, question), pieces);
    EXPECT_EQ(small.sequence().tokens(), document) << cells;
    EXPECT_EQ(small.sequence().n_entries(), 60) << cells;
    small.sequence().prefill(question);
    EXPECT_EQ(small.sequence().next_position(), 320);
  }
}

}  // namespace
}  // namespace chunkkv::test
