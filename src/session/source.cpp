#include <chunkkv/source.h>

#include <chunkkv/session.h>

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace chunkkv {
namespace {

const Plan& checked(const Plan& plan) {
  if (!plan.method) throw UsageError("a source needs a plan with a method");
  return plan;
}

}  // namespace

Source::Source(Sequence& sequence, std::span<const Token> document, const Plan& plan,
               const Progress& progress)
    : sequence_(sequence), plan_(checked(plan)), rest_(document.begin(), document.end()) {
  sequence_.clear();
  advance(progress);
}

Source::Source(Sequence& sequence, Snapshot snapshot, std::vector<Token> rest, const Plan& plan)
    : sequence_(sequence), plan_(checked(plan)), snapshot_(std::move(snapshot)), rest_(std::move(rest)) {
  if (!snapshot_.positions.empty())
    throw UsageError("a compressed cache is no source: what was dropped is not in it");
  check(plan_);
}

void Source::check(const Plan& plan) const {
  if (snapshot_.n_entries == 0) return;  // everything is read with the question
  if (observed_length(plan) > rest_.size())
    throw UsageError(
        fmt::format("this source leaves {} tokens to be read with a question, but {} observes {}; make the "
                    "source with that method",
                    rest_.size(), plan.method->spec(), observed_length(plan)));
  if (!has_history(snapshot_, plan))
    throw UsageError("this source does not hold the attention of all queries, which " + plan.method->spec() +
                     " reads; make the source with that method");
}

void Source::set_plan(const Plan& plan) {
  check(checked(plan));
  plan_ = plan;
}

void Source::append(std::span<const Token> tokens) {
  rest_.insert(rest_.end(), tokens.begin(), tokens.end());
}

void Source::advance(const Progress& progress) {
  const std::size_t done = snapshot_.tokens.size();
  const std::size_t end = source_length(done + rest_.size(), plan_, sequence_.session().options().n_ubatch);
  if (end <= done) return;
  const std::size_t count = end - done;
  const std::vector<Plan> plans = history_plans({&plan_, 1});
  sequence_.prefill(std::span(rest_).first(count), plans, progress);
  snapshot_ = prefix_snapshot(sequence_, plans);
  rest_.erase(rest_.begin(), rest_.begin() + std::ptrdiff_t(count));
}

void Source::ask(std::span<const Token> question, const Progress& progress) {
  if (question.empty()) throw UsageError("the question is empty");
  if (snapshot_.n_entries > 0)
    sequence_.restore(snapshot_);
  else
    sequence_.clear();
  // Move appended tokens into the copy when they are about a micro-batch or more.
  if (rest_.size() > observed_length(plan_) + std::size_t(sequence_.session().options().n_ubatch))
    advance(progress);

  std::vector<Token> tokens = rest_;
  tokens.insert(tokens.end(), question.begin(), question.end());
  sequence_.prefill(tokens, {&plan_, 1}, progress);
  sequence_.compress_when_chosen(0);
}

}  // namespace chunkkv
