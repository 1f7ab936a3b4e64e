// The steps of the answers in work: reading, generating, ending.
#include "base/stopwatch.h"
#include "serve/engine/answer.h"
#include "serve/engine/scheduler.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace chunkkv::serve {
namespace {

/// One of this many micro-batches goes to the prompt that was admitted first.
constexpr std::int64_t kOldestEvery = 4;

/// Whose fault it is that no token can be chosen: a grammar without a way on is the request's; logits that
/// are no numbers are the model's.
Fault fault_of_sampling(const std::exception& error) {
  const bool is_own = dynamic_cast<const Error*>(&error) != nullptr;
  return is_own && dynamic_cast<const UsageError*>(&error) == nullptr ? Fault::internal : Fault::invalid;
}

}  // namespace

/// Chooses the prompt with the fewest tokens left, so that none waits for the whole of a long one, and the
/// first admitted of equal ones. Now and then it is the turn of the first admitted of all, so that a long
/// prompt ends as well.
Scheduler::Answer* Scheduler::next_to_read() {
  Answer *oldest = nullptr, *shortest = nullptr;
  const auto n_left = [](const Answer& answer) {
    return std::int32_t(answer.task->prompt.tokens.size()) - answer.shape.n_reused - answer.reading->n_read();
  };
  for (Answer& answer : answers_) {
    if (answer.reading == nullptr || answer.is_finished) continue;
    if (oldest == nullptr) oldest = &answer;
    if (shortest == nullptr || n_left(answer) < n_left(*shortest)) shortest = &answer;
  }
  return ++n_readings_ % kOldestEvery == 0 ? oldest : shortest;
}

void Scheduler::read_one() {
  Answer* const chosen = next_to_read();
  if (chosen == nullptr) return;
  Answer& answer = *chosen;
  try {
    const std::int32_t before = answer.reading->n_read();
    const bool goes_on = answer.reading->step();
    metrics_.update([&](auto& v) { v.tokens_read += answer.reading->n_read() - before; });
    after_step(answer);
    if (!goes_on) begin_answer(answer);
  } catch (const UsageError& error) {
    fail(answer, Fault::too_long, error.what());
  } catch (const std::exception& error) {
    fail(answer, Fault::internal, error.what());
  }
}

/// Notes the compressions of a step: they free cells, and the logits of the prompt's end are no longer those
/// of the cache.
void Scheduler::after_step(Answer& answer) {
  Conversation& c = *answer.conversation;
  const std::int32_t n = c.sequence->n_compressions();
  if (n == answer.n_compressions) return;
  metrics_.update([&](auto& v) { v.compressions += n - answer.n_compressions; });
  answer.n_compressions = n;
  answer.n_kept = c.n_kept = c.sequence->n_entries();
  c.key = answer.task->kv.key();
  c.logits.clear();
  if (answer.reading == nullptr)
    answer.reserved_cells = std::min(answer.reserved_cells, answer.n_kept + answer.shape.cells_after);
}

void Scheduler::begin_answer(Answer& answer) {
  Conversation& c = *answer.conversation;
  Task& task = *answer.task;
  answer.n_read = answer.reading->n_read();
  answer.read_us = answer.token_us = now_us();
  metrics_.update([&](auto& v) { v.tokens_reused += answer.shape.n_reused; });
  if (task.echo) {
    Event event{.kind = Event::Kind::prompt, .answer = task.answer, .prompt = answer.reading->take_outputs()};
    if (event.prompt.empty())
      for (const Token token : task.prompt.tokens)
        event.prompt.push_back({.token = token, .text = session_.model().detokenize(token)});
    task.channel->push(std::move(event));
  }
  const bool read_nothing = answer.n_read == 0;
  answer.reading.reset();
  if (!read_nothing) {
    c.n_prompt = std::int32_t(task.prompt.tokens.size());
    c.prompt_end = c.sequence->checkpoint();
    const std::span<const float> logits = session_.logits();
    c.logits.assign(logits.begin(), logits.end());
  }
  if (answer.n_kept == 0) answer.n_kept = c.sequence->n_entries();
  const std::int32_t until = c.sequence->n_until_compression();
  const CacheUse use = c.sequence->use();
  answer.reserved_cells = until <= 0 ? answer.shape.cells_after
                          : use.cells_shared > 0
                              ? std::max(use.cells_used - use.cells_shared + until, answer.shape.cells_after)
                              : use.cells_used + until;
  if (answer.shape.kind == ReadingShape::Kind::pieces)
    limit_answer(answer, answer.shape.cells);
  else if (task.kv.compresses() && task.kv.cells > 0)
    limit_answer(answer, task.kv.cells);
  begin_siblings(answer);
  take_first(answer);
}

/// Samples the first token, from the logits after the prompt.
void Scheduler::take_first(Answer& answer) {
  const Task& task = *answer.task;
  if (task.n_predict == 0) return finish(answer, Ending::limit);
  TokenOutput first;
  try {
    task.sampler->accept_prompt(task.prompt.tokens);
    first = task.sampler->sample(session_, answer.conversation->logits);
  } catch (const std::exception& error) {
    return fail(answer, fault_of_sampling(error), error.what());
  }
  take_token(answer, std::move(first));
}

/// Lets decoding compress the cache of an answer that could outgrow `cells`.
void Scheduler::limit_answer(Answer& answer, std::int32_t cells) {
  constexpr std::int32_t room = 64;
  const Task& task = *answer.task;
  Sequence& sequence = *answer.conversation->sequence;
  Plan plan = plan_of(task);
  const auto n = std::int32_t(sequence.tokens().size());
  const std::int32_t most = (cells - room) * 3 / 4;
  const std::int32_t least = plan.protect_first + plan.method->request().window + 16;
  const std::int32_t budget = std::max(std::min(plan.n_to_keep(n), most), least);
  if (plan.method->layer_budgets() || budget + room >= cells) return;
  if (task.n_predict >= 0 && sequence.n_entries() + task.n_predict + room <= cells) return;
  plan.budget = Budget::tokens(budget);
  plan.keep_at_least = 0;
  sequence.compress_while_decoding(plan, cells - room - budget);
}

void Scheduler::begin_siblings(Answer& answer) {
  const Task& task = *answer.task;
  if (task.siblings.empty()) return;
  const Sequence* const from = answer.conversation->sequence;
  const std::int32_t n_tokens = std::int32_t(from->tokens().size());
  HostCopy copy;
  if (!session_.can_share()) copy = copy_of(*answer.conversation);
  const std::int32_t needed = answer.shape.cells_after - (session_.can_share() ? from->n_entries() : 0);
  std::vector<std::shared_ptr<Task>> later;
  for (const auto& sibling : task.siblings) {
    sibling->started_us = task.started_us;
    sibling->submitted = task.submitted;
    const bool is_compressing = from->n_until_compression() > 0;
    Conversation* c = nullptr;
    if (!is_compressing && std::int32_t(answers_.size()) < options_.n_parallel &&
        make_room(std::max(needed, 0), answer.conversation) &&
        (c = free_sequence(answer.conversation)) != nullptr) {
      Sequence* const sequence = c->sequence;
      if (session_.can_share())
        sequence->share(*from, n_tokens);
      else
        sequence->restore(copy.snapshot);
      *c = *answer.conversation;
      c->sequence = sequence;
      c->name.clear();
      Answer& other = answers_.emplace_back(sibling, *c, answer.shape);
      other.reread_reason = answer.reread_reason;
      other.shape.n_reused = std::int32_t(task.prompt.tokens.size());
      other.n_kept = answer.n_kept;
      other.read_us = other.token_us = now_us();
      other.reserved_cells = answer.shape.cells_after;
      other.n_compressions = sequence->n_compressions();
      take_first(other);
    } else {
      later.push_back(sibling);
    }
  }
  waiting_.insert(waiting_.begin(), later.begin(), later.end());
}

void Scheduler::generate() {
  std::vector<Answer*> writing;
  for (Answer& answer : answers_)
    if (answer.reading == nullptr && !answer.is_finished) writing.push_back(&answer);
  while (!writing.empty() && n_free() < std::int32_t(writing.size())) {
    if (Conversation* const idle = conversations_.oldest_idle(nullptr)) {
      park(*idle);
    } else {
      finish(*writing.back(), Ending::limit, /*truncated=*/true);
      writing.pop_back();
    }
  }
  const Position last = std::max(session_.model().info().n_ctx_train, session_.options().n_cells);
  std::erase_if(writing, [&](Answer* answer) {
    if (answer->conversation->sequence->next_position() < last) return false;
    finish(*answer, Ending::limit, /*truncated=*/true);
    return true;
  });
  if (writing.empty()) return;
  std::vector<Token> tokens;
  std::vector<SequenceId> sequences;
  for (const Answer* answer : writing) {
    tokens.push_back(answer->next);
    sequences.push_back(answer->conversation->sequence->id());
  }
  std::vector<TokenOutput> outputs(writing.size());
  struct Failure {
    Fault fault;
    std::string message;
  };
  std::vector<std::optional<Failure>> failures(writing.size());
  const auto sample = [&](std::size_t i, std::int32_t row) {
    try {
      outputs[i] = writing[i]->task->sampler->sample(session_, row);
    } catch (const std::exception& error) {
      failures[i] = {fault_of_sampling(error), error.what()};
    }
  };
  try {
    if (writing.size() == 1) {
      writing[0]->conversation->sequence->decode(tokens[0]);
      sample(0, -1);
    } else {
      session_.decode(tokens, sequences,
                      [&](std::size_t i, std::span<const float>) { sample(i, std::int32_t(i)); });
    }
  } catch (const std::exception& error) {
    for (Answer* answer : writing) fail(*answer, Fault::internal, error.what());
    return;
  }
  for (std::size_t i = 0; i < writing.size(); ++i) {
    after_step(*writing[i]);
    if (failures[i])
      fail(*writing[i], failures[i]->fault, failures[i]->message);
    else
      take_token(*writing[i], std::move(outputs[i]));
  }
}

void Scheduler::take_token(Answer& answer, TokenOutput token) {
  const Task& task = *answer.task;
  const std::int64_t now = now_us();
  metrics_.update([&](auto& v) {
    ++v.tokens_generated;
    if (answer.n_generated == 0)
      v.first_token.add(double(now - task.started_us) / 1e6);
    else
      v.between_tokens.add(double(now - answer.token_us) / 1e6);
  });
  answer.token_us = now;
  ++answer.n_generated;
  answer.next = token.token;
  const bool is_end = session_.model().is_end(token.token);
  const std::string text = is_end ? std::string() : answer.text.push(token.text);
  if (!is_end)
    task.channel->push({.kind = Event::Kind::text,
                        .answer = task.answer,
                        .text = text,
                        .token = std::move(token),
                        .n_reused = answer.shape.n_reused});
  const bool is_late = task.max_ms > 0 && now - answer.read_us > task.max_ms * 1000;
  if (is_end)
    finish(answer, Ending::model);
  else if (!answer.text.stopped_by().empty())
    finish(answer, Ending::stop_text);
  else if ((task.n_predict >= 0 && answer.n_generated >= task.n_predict) || is_late)
    finish(answer, Ending::limit);
}

void Scheduler::finish(Answer& answer, Ending ending, bool truncated) {
  Task& task = *answer.task;
  Conversation& c = *answer.conversation;
  if (const std::string rest = answer.text.finish(); !rest.empty())
    task.channel->push(
        {.kind = Event::Kind::text, .answer = task.answer, .text = rest, .n_reused = answer.shape.n_reused});
  const CacheUse use = c.sequence->use();
  const std::uint64_t cell_bytes = use.bytes_allocated / std::uint64_t(std::max(1, use.cells_allocated));
  const std::uint64_t n_tokens = c.sequence->tokens().size();
  AnswerEnd end{.ending = ending,
                .stop_text = ending == Ending::stop_text ? answer.text.stopped_by() : std::string(),
                .truncated = truncated,
                .n_prompt = std::int32_t(task.prompt.tokens.size()),
                .n_reused = answer.shape.n_reused,
                .n_generated = answer.n_generated,
                .slot = c.sequence->id(),
                .started_us = task.started_us,
                .read_us = answer.read_us,
                .ended_us = answer.token_us,
                .kv = {{"read", answer.n_read},
                       {"reused", answer.shape.n_reused},
                       {"kept", answer.n_kept},
                       {"cells", use.cells_used},
                       {"bytes", use.bytes_used},
                       {"full_bytes", n_tokens * cell_bytes},
                       {"method", task.kv.compresses() ? task.kv.method->spec() : "full"},
                       {"keep", task.kv.compresses() ? task.kv.keep_text : "100%"},
                       {"slot", c.sequence->id()}}};
  end.kv["reread_reason"] = nullptr;
  if (!answer.reread_reason.empty()) end.kv["reread_reason"] = answer.reread_reason;
  release(answer);
  if (!task.kv.name.empty() && files_.enabled()) save_named(c);
  task.channel->push({.kind = Event::Kind::end, .answer = task.answer, .end = std::move(end)});
}

/// Saves a named conversation: its source, where host memory has one, so that other questions can be asked of
/// it later; otherwise its cache as it is.
void Scheduler::save_named(const Conversation& c) {
  for (const HostCopy& copy : store_.copies())
    if (copy.is_source && copy.name == c.name) return files_.save_later(copy);
  files_.save_later(copy_of(c));
}

void Scheduler::fail(Answer& answer, Fault fault, const std::string& message) {
  metrics_.update([](auto& v) { ++v.refused; });
  release(answer);
  answer.task->fail(fault, message);
  conversations_.clear(*answer.conversation);
}

void Scheduler::release(Answer& answer) {
  answer.is_finished = true;
  answer.reading.reset();
  answer.conversation->sequence->stop_compressing();
  answer.conversation->is_busy = false;
  conversations_.touch(*answer.conversation);
}

}  // namespace chunkkv::serve
