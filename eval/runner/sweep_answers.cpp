// Generates the answers of a sample's pairs once it is read.
#include "base/stopwatch.h"
#include "runner/elapsed.h"
#include "runner/sweep.h"
#include "text/limit_answer.h"

#include <chunkkv/error.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace chunkkv::eval {

text::GenerateOptions Sweep::generate_options(const Sample& sample) const {
  return {.n_predict = n_predict(sample),
          .find_end = [&sample](std::string_view text) { return find_stop(text, sample.stops); },
          .interrupted = options_.interrupted};
}

std::vector<Sweep::FirstTokens> Sweep::first_tokens(const Sample& sample, std::span<const float> logits,
                                                    std::span<const std::int32_t> counts) {
  std::vector<FirstTokens> result;
  text::Sampler sampler(*model_, options_.sampling);
  std::vector<float> next = in_vector(logits);
  text::Answer answer;
  answer.stop = text::Stop::pause;
  for (const std::int32_t count : counts) {
    text::GenerateOptions options = generate_options(sample);
    options.pause_after = count;
    answer = text::go_on(session_->sequence(), next, sampler, std::move(answer), options);
    if (answer.stop == text::Stop::signal) throw Interrupted("interrupted while answering");
    const bool goes_on = answer.stop == text::Stop::pause;
    if (goes_on) next = in_vector(session_->logits());
    result.push_back({.count = count,
                      .answer = answer,
                      .sampler = sampler,
                      .logits = next,
                      .end = goes_on ? session_->sequence().checkpoint() : Checkpoint()});
  }
  return result;
}

const Sweep::FirstTokens* Sweep::SampleReading::first_of(std::int32_t count) const {
  const auto found = std::find_if(first.begin(), first.end(),
                                  [&](const FirstTokens& tokens) { return tokens.count == count; });
  return found == first.end() ? nullptr : &*found;
}

void Sweep::prepare_slot(Slot& slot, SampleReading& reading, std::span<const Plan> plans, std::size_t index,
                         bool is_asked_again) {
  const Plan& plan = plans[index];
  const std::int32_t n_prompt = slot.outcome.prompt_tokens;
  slot.first = reading.first_of(n_observed_answer_tokens(plan));
  slot.n_kept = n_prompt;
  // An answer that ended before the compression is complete already and needs no cache.
  const bool is_answered = slot.first != nullptr && !slot.first->is_paused();
  if (is_answered && !is_asked_again) return;
  Sequence& sequence = session_->sequence(slot.sequence);
  const Checkpoint& place = slot.first != nullptr && !is_answered ? slot.first->end : reading.prompt_end;
  if (reading.in_session && slot.sequence == 0) {
    sequence.go_back(place);
  } else {
    const Stopwatch watch(slot.outcome.ms.restore);
    sequence.restore(*reading.full);
    sequence.go_back(place);
  }
  const bool compresses = !plan.method->keeps_all() && !is_answered;
  if (!reading.full && index + 1 < plans.size() && (compresses || options_.parallel > 1))
    reading.full = session_->sequence().snapshot();
  // Once a slot has gone on, only the snapshot still holds the answer's first tokens.
  if (slot.sequence == 0) reading.in_session = reading.in_session && !compresses && reading.first.empty();
  if (!compresses) return;
  const Elapsed compression(*session_);
  const Selection& chosen = reading.selections[index];
  sequence.compress(chosen);
  compression.add_to(slot.outcome.ms);
  slot.n_kept = sequence.n_entries() - (place.n_entries - n_prompt);
  if (slot.first == nullptr || !is_asked_again) return;
  slot.rewind = [this, &reading, &chosen, &sequence]() -> Session& {
    sequence.restore(*reading.full);
    sequence.go_back(reading.prompt_end);
    sequence.compress(chosen);
    return prepare_answering_session();
  };
}

void Sweep::answer(const Sample& sample, const PromptTokens& tokens, std::span<const float> logits,
                   std::vector<Slot> slots, const SweepEvents& events) {
  Session& session = prepare_answering_session();
  for (Slot& slot : slots) {
    const CacheUse use = session.use();
    slot.outcome.kept_tokens = slot.n_kept;
    slot.outcome.ended_before_choice = slot.first != nullptr && !slot.first->is_paused();
    slot.outcome.bytes_after =
        use.bytes_allocated / std::uint64_t(use.cells_allocated) * std::uint64_t(slot.n_kept);
  }
  const text::GenerateOptions options = generate_options(sample);
  for (std::size_t question = 0; question < sample.questions.size(); ++question) {
    std::vector<std::unique_ptr<text::Sampler>> samplers;
    std::vector<text::GenerationStart> starts;
    std::vector<std::int32_t> n_compressions;
    for (Slot& slot : slots) {
      ask(session, tokens, question, sample.questions.size(), logits, slot);
      n_compressions.push_back(session.sequence(slot.sequence).n_compressions());
      if (options_.buffer > 0)
        text::limit_answer(session.sequence(), pairs_[slot.outcome.pair], options_.buffer, n_predict(sample));
      const FirstTokens* first = question == 0 ? slot.first : nullptr;
      samplers.push_back(first != nullptr ? std::make_unique<text::Sampler>(first->sampler)
                                          : std::make_unique<text::Sampler>(*model_, options_.sampling));
      starts.push_back({.sequence = &session.sequence(slot.sequence),
                        .logits = slot.logits,
                        .sampler = samplers.back().get()});
      if (first != nullptr) starts.back().before = first->answer;
    }
    std::vector<text::Answer> answers = text::generate_together(starts, options);
    session.sequence().stop_compressing();
    for (const text::Answer& each : answers)
      if (each.stop == text::Stop::signal) throw Interrupted("interrupted while answering");
    for (std::size_t i = 0; i < slots.size(); ++i) {
      Outcome& outcome = slots[i].outcome;
      outcome.answer = std::move(answers[i]);
      outcome.compressions = session.sequence(slots[i].sequence).n_compressions() - n_compressions[i];
      outcome.ms.first_token += outcome.answer.first_ms;
      events.answered(outcome);
    }
  }
}

/// Reads what comes before the answer to `question` into the slot's sequence and sets the slot's logits.
void Sweep::ask(Session& session, const PromptTokens& tokens, std::size_t question, std::size_t n_questions,
                std::span<const float> logits, Slot& slot) {
  const bool agnostic = options_.query == Query::agnostic;
  Outcome& outcome = slot.outcome;
  Sequence& sequence = session.sequence(slot.sequence);
  const auto checkpoint_of = [&](const Session& from) { return from.sequence(slot.sequence).checkpoint(); };
  std::vector<Token> asked;
  const bool is_asked_again = question + 1 < n_questions;
  if (question == 1 && slot.rewind) slot.before_answer = slot.compressed = checkpoint_of(slot.rewind());
  if (question == 0) {
    if (agnostic) asked = tokens.question(0);
    if (is_asked_again && !slot.rewind) slot.compressed = checkpoint_of(session);
  } else if (options_.separate_questions) {
    sequence.go_back(slot.compressed);
    asked = agnostic ? tokens.question(question) : tokens.turn("", question);
  } else {
    sequence.go_back(slot.before_answer);
    asked = tokens.turn(outcome.answer.text, question);
  }
  outcome.question = question;
  outcome.ms.first_token = 0;
  const Stopwatch first(outcome.ms.first_token);
  if (!asked.empty())
    sequence.prefill(asked, {},
                     [this](const ReadState&) { return !options_.interrupted || !options_.interrupted(); });
  if (is_asked_again) slot.before_answer = checkpoint_of(session);
  if (!asked.empty())
    slot.logits = in_vector(session.logits());
  else
    slot.logits = question == 0 && slot.first != nullptr ? slot.first->logits : in_vector(logits);
}

}  // namespace chunkkv::eval
