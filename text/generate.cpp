#include "text/generate.h"

#include "base/stopwatch.h"
#include "text/utf8.h"

#include <algorithm>
#include <utility>

namespace chunkkv::text {

std::string_view to_string(Stop stop) {
  constexpr std::string_view names[] = {"end", "text", "limit", "context", "interrupted", "pause"};
  return names[std::size_t(stop)];
}

namespace {

/// One answer that is being generated.
class Generation {
 public:
  Generation(const GenerationStart& from, const GenerateOptions& options)
      : sequence_(*from.sequence), sampler_(*from.sampler), options_(options) {
    if (from.before) go_on_with(*from.before);
    if (is_finished_) return;
    const Stopwatch watch(n_timed_ == 0 ? answer_.first_ms : rest_ms_);
    token_ = sampler_.sample(from.logits);
  }

  bool is_finished() const { return is_finished_; }
  Sequence& sequence() const { return sequence_; }
  Token token() const { return token_; }

  /// Adds the sampled token to the answer. True when it must be read into the cache, which has `n_free` free
  /// cells; false when the answer ends, for the reason in `answer_.stop`.
  bool accept_token(std::int32_t n_free) {
    answer_.stop = Stop::end;
    const Model& model = sequence_.session().model();
    if (model.is_end(token_)) return false;
    answer_.tokens.push_back(token_);
    add(stream_.push(model.detokenize(token_)));
    answer_.ends.push_back(answer_.text.size());

    answer_.stop = Stop::text;
    if (at_end()) return false;
    answer_.stop = Stop::limit;
    if (std::int32_t(answer_.tokens.size()) >= options_.n_predict) return false;
    answer_.stop = Stop::context;
    return n_free > 0 && sequence_.next_position() < last_position();
  }

  void stop(Stop why) { answer_.stop = why; }
  void next(std::span<const float> logits) {
    ++n_timed_;
    if (std::int32_t(answer_.tokens.size()) == options_.pause_after) {
      answer_.stop = Stop::pause;
      is_finished_ = true;
    } else {
      token_ = sampler_.sample(logits);
    }
  }
  void add_time(double ms) { rest_ms_ += ms; }

  Answer finish() {
    if (answer_.stop == Stop::pause)
      answer_.held = stream_.held();
    else if (answer_.stop != Stop::text)
      add(stream_.finish());
    if (n_timed_ > 0) answer_.per_token_ms = rest_ms_ / double(n_timed_);
    return std::move(answer_);
  }

 private:
  void go_on_with(const Answer& before) {
    answer_ = before;
    is_finished_ = before.stop != Stop::pause;
    stream_.push(std::exchange(answer_.held, {}));
    n_timed_ = is_finished_ ? 0 : std::int64_t(before.tokens.size());
    rest_ms_ = before.per_token_ms.value_or(0) * double(n_timed_);
  }

  void add(const std::string& text) {
    answer_.text += text;
    if (!text.empty() && options_.emit) options_.emit(text);
  }

  bool at_end() {
    const std::size_t end = options_.find_end ? options_.find_end(answer_.text) : std::string::npos;
    if (end == std::string::npos) return false;
    answer_.text.resize(end);
    return true;
  }

  Position last_position() const {
    const Session& session = sequence_.session();
    return std::max(session.model().info().n_ctx_train, session.options().n_cells);
  }

  Sequence& sequence_;
  Sampler& sampler_;
  const GenerateOptions& options_;
  Answer answer_;
  Utf8Stream stream_;
  Token token_ = 0;
  double rest_ms_ = 0;
  std::int64_t n_timed_ = 0;
  bool is_finished_ = false;  // the answer gets no more tokens
};

/// Reads the sampled token of each generation, in one batch, and samples the next ones.
void step(std::span<Generation* const> generations) {
  double ms = 0;
  Stopwatch watch(ms);
  if (generations.size() == 1) {
    Generation& only = *generations[0];
    only.next(only.sequence().decode(only.token()));
  } else {
    std::vector<Token> tokens;
    std::vector<SequenceId> sequences;
    for (const Generation* generation : generations) {
      tokens.push_back(generation->token());
      sequences.push_back(generation->sequence().id());
    }
    generations[0]->sequence().session().decode(
        tokens, sequences,
        [&](std::size_t i, std::span<const float> logits) { generations[i]->next(logits); });
  }
  watch.stop();
  for (Generation* generation : generations) generation->add_time(ms);
}

}  // namespace

Answer generate(Sequence& sequence, std::span<const float> logits, Sampler& sampler,
                const GenerateOptions& options) {
  const GenerationStart only{.sequence = &sequence, .logits = logits, .sampler = &sampler};
  return std::move(generate_together({&only, 1}, options).front());
}

Answer go_on(Sequence& sequence, std::span<const float> logits, Sampler& sampler, Answer before,
             const GenerateOptions& options) {
  const GenerationStart only{
      .sequence = &sequence, .logits = logits, .sampler = &sampler, .before = std::move(before)};
  return std::move(generate_together({&only, 1}, options).front());
}

Answer generate(Sequence& sequence, std::span<const float> logits, Sampler& sampler,
                const GenerateOptions& options, const std::function<Sequence&()>& compressed) {
  GenerateOptions first = options;
  first.pause_after = sequence.n_until_compression();
  if (first.pause_after == 0) return generate(compressed(), logits, sampler, options);
  Answer answer = generate(sequence, logits, sampler, first);
  if (answer.stop != Stop::pause) return answer;
  const std::span<const float> last = sequence.session().logits();
  const std::vector<float> next(last.begin(), last.end());
  return go_on(compressed(), next, sampler, std::move(answer), options);
}

std::vector<Answer> generate_together(std::span<const GenerationStart> starts,
                                      const GenerateOptions& options) {
  std::vector<Generation> generations;
  generations.reserve(starts.size());
  for (const GenerationStart& start : starts) generations.emplace_back(start, options);
  std::vector<Generation*> active;
  for (Generation& generation : generations)
    if (!generation.is_finished()) active.push_back(&generation);
  const auto stop_all = [&] {
    for (Generation* generation : active) generation->stop(Stop::signal);
  };
  try {
    while (!active.empty()) {
      const CacheUse use = active.front()->sequence().session().use();
      std::int32_t n_free = use.cells_allocated - use.cells_used;
      std::erase_if(active, [&](Generation* generation) {
        if (!generation->accept_token(n_free)) return true;
        --n_free;
        return false;
      });
      if (active.empty()) break;
      if (options.interrupted && options.interrupted()) {
        stop_all();
        break;
      }
      step(active);
      std::erase_if(active, [](const Generation* generation) { return generation->is_finished(); });
    }
  } catch (const Interrupted&) {
    stop_all();
  }
  std::vector<Answer> answers;
  for (Generation& generation : generations) answers.push_back(generation.finish());
  return answers;
}

}  // namespace chunkkv::text
