#include "runner/runner.h"

#include "runner/sample_digest.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace chunkkv::eval {
namespace {

/// A generated token takes about as long as this many tokens of a prompt, which are read in micro-batches.
constexpr double kGenerationEffort = 4;
/// Share of its token limit that an answer usually uses.
constexpr double kAnswerLength = 0.5;

/// Number of first tokens of an answer that are left out to compare methods that observe them with others.
constexpr std::size_t kFirstTokens = 16;

/// The answer's text without its first tokens; nothing where the answer has no others.
std::optional<std::string_view> answer_rest(const text::Answer& answer) {
  if (answer.tokens.size() <= kFirstTokens || answer.ends.size() < kFirstTokens) return std::nullopt;
  const std::string_view text(answer.text);
  return text.substr(std::min(text.size(), answer.ends[kFirstTokens - 1]));
}

/// The score in a line; nothing where the judge was undecided.
std::optional<double> score_of(const Json& line) {
  const Json& score = line.at("score");
  return score.is_null() ? std::nullopt : std::optional(score.get<double>());
}

}  // namespace

Runner::Runner(const Benchmark& benchmark, const Samples& samples, Sweep& sweep, RunFacts facts,
               const RunnerOptions& options, RunEvents events)
    : benchmark_(benchmark),
      samples_(samples),
      sweep_(sweep),
      facts_(std::move(facts)),
      options_(options),
      events_(std::move(events)) {}

Survey Runner::survey(const KnownScores& known) {
  Survey survey;
  for (std::size_t index = 0; index < samples_.size(); ++index) {
    if (!options_.shard.has(index)) continue;
    if (events_.surveying && !events_.surveying(index, samples_.size())) throw Interrupted("interrupted");
    try {
      add_to_survey(samples_.at(index), index, known, survey);
    } catch (const BrokenRecord& error) {
      if (!options_.skip_broken) throw;
      survey.broken.emplace_back(error.what());
    }
  }
  return survey;
}

std::string Runner::data_of(const Sample& sample, const Sweep::Size& size) const {
  const bool is_cut = sweep_.options().parallel == 1 && size.prompt + size.rest > options_.max_tokens;
  return sample_digest(sample, sweep_.n_predict(sample), is_cut ? options_.max_tokens : 0);
}

void Runner::add_to_survey(const Sample& sample, std::size_t index, const KnownScores& known,
                           Survey& survey) {
  Survey::Item item = {.index = index, .pairs = {}, .size = sweep_.size(sample)};
  const std::int32_t n_tokens = item.size.prompt;
  if (n_tokens > options_.max_tokens) {
    throw UsageError(
        fmt::format("the prompt of {} has {} tokens, but the model's window only {}; give a "
                    "smaller --max-length, or a larger -c to read it all the same",
                    sample.source, n_tokens, options_.max_tokens));
  }
  const std::string data = data_of(sample, item.size);
  const auto [first, is_new] = sources_.try_emplace(key_of(0, sample, 0, n_tokens, data), sample.source);
  if (!is_new) {
    throw BrokenRecord(
        fmt::format("{}: this is the record of {} once more, with the same id and text; remove one",
                    sample.source, first->second));
  }
  Survey::Task& task = survey.tasks[sample.task];
  for (std::size_t pair = 0; pair < sweep_.pairs().size(); ++pair) {
    const Plan& plan = sweep_.pairs()[pair];
    const ResolvedPlan resolved = plan.at(n_tokens, n_tokens, sweep_.model().info().n_layer);
    if (resolved.window > 0) {
      Survey::SmallWindow& small = survey.small_windows[pair];
      if (small.n_samples++ == 0)
        small.first_example =
            fmt::format("{} instead of {} for {}", resolved.window, resolved.asked_window, sample.source);
    }
    std::size_t n_missing = 0;
    for (std::size_t question = 0; question < sample.questions.size(); ++question) {
      const auto score = known.find(key_of(pair, sample, question, n_tokens, data));
      if (score == known.end())
        ++n_missing;
      else
        table_.add(sample.task, plan, score->second);
    }
    task.n_answers += sample.questions.size();
    survey.n_answers += sample.questions.size();
    item.n_answers += n_missing;
    if (n_missing > 0) item.pairs.push_back(pair);
  }
  task.shortest = task.n_samples == 0 ? n_tokens : std::min(task.shortest, n_tokens);
  task.longest = std::max(task.longest, n_tokens);
  task.n_tokens += n_tokens;
  task.n_questions += sample.questions.size();
  task.n_missing += item.n_answers;
  ++task.n_samples;
  survey.n_missing += item.n_answers;
  if (item.pairs.empty()) return;
  item.effort = double(n_tokens) * double(sweep_.readings(item.pairs).size()) +
                kGenerationEffort * kAnswerLength * double(item.size.rest) * double(item.pairs.size());
  survey.todo.push_back(std::move(item));
}

results::AnswerRecord Runner::record_of(std::size_t pair, const Sample& sample, std::size_t question,
                                        std::int32_t n_prompt, const std::string& data) const {
  const Plan& plan = sweep_.pairs()[pair];
  results::AnswerRecord record;
  record.origin = facts_.origin;
  record.setting = facts_.setting;
  record.setting.query_aware = sweep_.options().query == Query::aware;
  record.setting.cells = sweep_.n_cells(pair);
  if (record.setting.cells > 0 && !facts_.bounded_settings.empty())
    record.setting.others += (record.setting.others.empty() ? "" : " ") + facts_.bounded_settings;
  record.sample = {sample.task, sample.group, sample.id, std::int64_t(question), data};
  record.pair = {plan.method->spec(), plan.budget.to_string()};
  record.window = plan.at(n_prompt, n_prompt, 1).window;
  record.facts = sample.facts;
  return record;
}

std::string Runner::key_of(std::size_t pair, const Sample& sample, std::size_t question,
                           std::int32_t n_prompt, const std::string& data) const {
  return result_key(identity(record_of(pair, sample, question, n_prompt, data)));
}

void Runner::score_saved(Survey& survey, KnownScores& known, const SavedAnswers& saved,
                         const std::function<void(const Json&)>& write) {
  if (saved.empty()) return;
  for (Survey::Item& item : survey.todo) {
    const Sample sample = samples_.at(item.index);
    const std::string data = data_of(sample, item.size);
    const auto is_done = [&](std::size_t pair) {
      bool all = true;
      for (std::size_t question = 0; question < sample.questions.size(); ++question) {
        const std::string key = key_of(pair, sample, question, item.size.prompt, data);
        const auto answer = saved.find(key);
        if (!known.contains(key) && answer != saved.end()) {
          if (events_.progress && !events_.progress({.task = sample.task, .n_missing = survey.n_missing}))
            throw Interrupted("interrupted");
          Json line = answer->second;
          const Score score = benchmark_.score(sample, question, line.at("answer").get<std::string>());
          results::set_score(line, {score.value, score.metrics, score.undecided, std::nullopt});
          write(line);
          table_.add(sample.task, sweep_.pairs()[pair], score_of(line));
          known.emplace(key, score_of(line));
          --item.n_answers;
          --survey.n_missing;
        }
        all = all && known.contains(key);
      }
      return all;
    };
    std::erase_if(item.pairs, is_done);
  }
  std::erase_if(survey.todo, [](const Survey::Item& item) { return item.pairs.empty(); });
}

Json Runner::scored_line(const results::AnswerRecord& record, const Sample& sample, const Outcome& outcome) {
  const text::Answer& answer = outcome.answer;
  Json line = to_json(record, outcome,
                      {answer.text, answer.tokens.size(), text::to_string(answer.stop), answer.per_token_ms});
  if (events_.answered) events_.answered(line);
  const Score score = benchmark_.score(sample, outcome.question, answer.text);
  std::optional<double> rest;
  if (const auto text = answer_rest(answer); text && options_.score_rest)
    rest = benchmark_.score(sample, outcome.question, std::string(*text)).value;
  results::set_score(line, {score.value, score.metrics, score.undecided, rest});
  return line;
}

void Runner::answer_pairs(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
                          const Sample* next) {
  try {
    sweep_.run(sample, pairs, events, next);
  } catch (const UsageError& error) {
    if (sweep_.n_cells(pairs.front()) == 0) throw;
    // Only the reading shows this: whether a budget fits into the cells depends on the prompt.
    if (events_.note)
      events_.note(fmt::format("{} is left out for {}: {}", to_string(sweep_.pairs()[pairs.front()]),
                               sample.source, error.what()));
  }
}

void Runner::run(const Survey& survey, const KnownScores& known,
                 const std::function<void(const Json&)>& write) {
  std::int32_t n_cells = 0;
  double effort = 0, effort_done = 0;
  for (const Survey::Item& item : survey.todo) {
    n_cells = std::max(n_cells, sweep_.n_cells(item.size, item.pairs));
    effort += item.effort;
  }
  if (n_cells > 0) sweep_.reserve(n_cells);

  RunState state = {.n_samples = survey.todo.size(), .n_missing = survey.n_missing};
  Sample sample, next;
  if (!survey.todo.empty()) next = samples_.at(survey.todo.front().index);
  for (std::size_t i = 0; i < survey.todo.size(); ++i) {
    const Survey::Item& item = survey.todo[i];
    std::swap(sample, next);
    const Sample* upcoming = nullptr;
    if (i + 1 < survey.todo.size()) {
      next = samples_.at(survey.todo[i + 1].index);
      upcoming = &next;
    }
    const std::string data = data_of(sample, item.size);
    ++state.sample;
    state.task = sample.task;
    // Effort done on this sample: each reading's tokens, then the answers that follow it.
    double reading_done = 0;
    const std::vector<std::vector<std::size_t>> readings = sweep_.readings(item.pairs);
    const double per_answer =
        (item.effort - double(item.size.prompt) * double(readings.size())) / double(item.n_answers);
    const auto tell = [&] {
      state.share = (effort_done + reading_done) / effort;
      return !events_.progress || events_.progress(state);
    };
    SweepEvents events;
    double before_reading = 0;
    events.reading = [&](const ReadState& read) {
      state.reading = true;
      state.read = read;
      reading_done = before_reading + double(item.size.prompt) * double(read.done) / double(read.total);
      return tell();
    };
    events.answered = [&](const Outcome& outcome) {
      state.reading = false;
      const results::AnswerRecord record =
          record_of(outcome.pair, sample, outcome.question, outcome.prompt_tokens, data);
      if (known.contains(result_key(identity(record)))) return;  // an earlier turn, answered again
      const Json line = scored_line(record, sample, outcome);
      write(line);
      table_.add(sample.task, sweep_.pairs()[outcome.pair], score_of(line));
      ++state.n_answers;
      reading_done += per_answer;
      if (!tell()) throw Interrupted("interrupted");
    };
    for (const std::vector<std::size_t>& pairs : readings) {
      before_reading = reading_done;
      answer_pairs(sample, pairs, events, upcoming);
    }
    effort_done += item.effort;
  }
}

}  // namespace chunkkv::eval
