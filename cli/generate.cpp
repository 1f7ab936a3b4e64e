#include "generate.h"

#include "signals.h"
#include "timer.h"
#include "utf8.h"

#include <algorithm>

namespace chunkkv::cli {

std::string_view to_string(Stop stop) {
  switch (stop) {
    case Stop::end:
      return "end";
    case Stop::limit:
      return "limit";
    case Stop::context:
      return "context";
    case Stop::signal:
      return "interrupted";
  }
  return "";
}

namespace {

bool room_left(const Session& session) {
  const CacheUse use = session.use();
  const Position end = std::max(session.model().info().n_ctx_train, use.cells_allocated);
  return use.cells_used < use.cells_allocated && session.next_position() < end;
}

}  // namespace

Answer generate(Session& session, std::span<const float> logits, Sampler& sampler, std::int32_t n_predict,
                const std::function<void(std::string_view)>& emit) {
  Answer answer;
  Utf8Stream stream;
  const auto add = [&](const std::string& text) {
    answer.text += text;
    if (!text.empty()) emit(text);
  };

  const Timer total;
  double rest_ms = 0;
  std::int64_t n_timed = 0;
  Token token = sampler.sample(logits);
  answer.first_ms = total.ms();
  try {
    while (true) {
      answer.stop = Stop::end;
      if (session.model().is_end(token)) break;
      answer.tokens.push_back(token);
      add(stream.push(session.model().detokenize(token)));

      answer.stop = Stop::limit;
      if (std::int32_t(answer.tokens.size()) >= n_predict) break;
      answer.stop = Stop::context;
      if (!room_left(session)) break;
      answer.stop = Stop::signal;
      if (stop_requested()) break;

      const Timer step;
      token = sampler.sample(session.decode(token));
      rest_ms += step.ms();
      ++n_timed;
    }
  } catch (const Interrupted&) {
    answer.stop = Stop::signal;
  }
  add(stream.finish());
  if (n_timed > 0) answer.per_token_ms = rest_ms / double(n_timed);
  return answer;
}

}  // namespace chunkkv::cli
