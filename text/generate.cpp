#include "text/generate.h"

#include "session/stopwatch.h"
#include "text/utf8.h"

#include <algorithm>

namespace chunkkv::text {

std::string_view to_string(Stop stop) {
  switch (stop) {
    case Stop::end:
      return "end";
    case Stop::text:
      return "text";
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

Answer generate(Session& session, std::span<const float> logits, Sampler& sampler,
                const GenerateOptions& options) {
  Answer answer;
  Utf8Stream stream;
  const auto add = [&](const std::string& text) {
    answer.text += text;
    if (!text.empty() && options.emit) options.emit(text);
  };
  const auto at_end = [&] {
    const std::size_t end = options.find_end ? options.find_end(answer.text) : std::string::npos;
    if (end == std::string::npos) return false;
    answer.text.resize(end);
    return true;
  };

  double rest_ms = 0;
  std::int64_t n_timed = 0;
  Stopwatch first(answer.first_ms);
  Token token = sampler.sample(logits);
  first.stop();
  try {
    while (true) {
      answer.stop = Stop::end;
      if (session.model().is_end(token)) break;
      answer.tokens.push_back(token);
      add(stream.push(session.model().detokenize(token)));

      answer.stop = Stop::text;
      if (at_end()) break;
      answer.stop = Stop::limit;
      if (std::int32_t(answer.tokens.size()) >= options.n_predict) break;
      answer.stop = Stop::context;
      if (!room_left(session)) break;
      answer.stop = Stop::signal;
      if (options.interrupted && options.interrupted()) break;

      const Stopwatch step(rest_ms);
      token = sampler.sample(session.decode(token));
      ++n_timed;
    }
  } catch (const Interrupted&) {
    answer.stop = Stop::signal;
  }
  if (answer.stop != Stop::text) add(stream.finish());
  if (n_timed > 0) answer.per_token_ms = rest_ms / double(n_timed);
  return answer;
}

}  // namespace chunkkv::text
