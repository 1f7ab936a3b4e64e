#include "text/conversation.h"

#include <chunkkv/registry.h>

#include "base/stopwatch.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <span>
#include <utility>
#include <vector>

namespace chunkkv::text {
namespace {

/// Cells left free for the next question, so that its own queries choose what is kept.
constexpr std::int32_t kFreeForQuestion = 64;
/// Entries that every budget keeps at least, besides the protected ones or the window.
constexpr std::int32_t kMinBeyondProtected = 16;
/// A turn of more tokens than this takes long to read.
constexpr std::int32_t kLongTurn = 512;

const Method& checked(const Method& method) {
  if (method.layer_budgets()) {
    throw UsageError(fmt::format("{} can only compress a whole prompt, and only once; choose another method",
                                 method.spec()));
  }
  return method;
}

}  // namespace

Conversation::Conversation(Session& session, PromptLayout layout, ConversationRules rules,
                           const Sampling& sampling, ConversationEvents events)
    : session_(session),
      sequence_(session.sequence()),
      layout_(std::move(layout)),
      rules_(std::move(rules)),
      sampler_(session.model(), sampling),
      events_(std::move(events)) {
  checked(*rules_.method);
  clear();
}

void Conversation::clear() {
  sequence_.clear();
  source_.reset();
  prompt_ = {};
  compress_next_ = false;
  n_turns_ = n_compressions_ = 0;
  last_ = {};
  n_protected_ = layout_.n_system();
}

void Conversation::open(const std::string& document) {
  OpenPrompt opened = layout_.open(document);
  const auto n = std::int32_t(opened.tokens.size());
  if (n >= model().info().n_ctx_train) {
    throw UsageError(
        fmt::format("the document has {} tokens, but this model was trained for {}; give a shorter one", n,
                    model().info().n_ctx_train));
  }
  if (rules_.keep_source && n + kFreeForQuestion > rules_.cells) {
    throw UsageError(fmt::format(
        "--keep-source needs the whole document of {} tokens in the cache while a question is read, "
        "but there are {} cells; give more with --cells",
        n, rules_.cells));
  }
  clear();
  prompt_ = std::move(opened);
  try {
    with_progress(/*is_long=*/true, [&](const Progress& progress) {
      if (rules_.keep_source)
        source_.emplace(sequence_, prompt_.tokens, plan(0), progress);
      else if (rules_.observer == ObserverKind::window)
        read(0, progress);
    });
  } catch (...) {
    clear();
    throw;
  }
}

void Conversation::with_progress(bool is_long, const std::function<void(const Progress&)>& read) const {
  events_.reading ? events_.reading(is_long, read) : read({});
}

Plan Conversation::plan(std::size_t n_newest) const {
  Plan plan{.method = rules_.method,
            .budget = rules_.keep,
            .protect_first = n_protected_,
            .protect_last = std::int32_t(n_newest),
            .fit_window = true,
            .keep_at_least = rules_.keep_at_least};
  if (plan.method->keeps_all()) return plan;
  const auto n = std::int32_t(prompt_.tokens.size());
  const std::int32_t least =
      n_protected_ + std::max(plan.protect_last, plan.method->request().window) + kMinBeyondProtected;
  // A compression that hardly makes room would soon be followed by the next.
  const std::int32_t most = (rules_.cells - kFreeForQuestion) * 3 / 4;
  plan.budget = Budget::tokens(std::max(std::min(plan.n_to_keep(std::max(n, 1)), most), least));
  return plan;
}

/// True for a document that is read now, when the new tokens would not fit, and when a compression is due
/// from before (`compress_next_`).
bool Conversation::must_compress(std::size_t n_question) const {
  const bool is_document = sequence_.n_entries() == 0 && n_unread() > n_question;
  const auto n = std::int32_t(n_unread());
  return is_document || compress_next_ || sequence_.n_entries() + n + kFreeForQuestion > rules_.cells;
}

void Conversation::report_plan() {
  const Plan asked{.method = rules_.method,
                   .budget = rules_.keep,
                   .fit_window = true,
                   .keep_at_least = rules_.keep_at_least};
  const auto n = std::int32_t(prompt_.tokens.size());
  if (events_.compressing) events_.compressing(asked.at(n, n, session_.n_layers()));
}

void Conversation::read(std::size_t n_question, const Progress& progress) {
  Plan wanted = plan(n_question);
  wanted.at_once = n_question == 0;  // no answer follows a document that is read alone
  if (source_ || must_compress(n_question)) report_plan();
  const std::span<const Token> all(prompt_.tokens);
  if (source_) {
    const auto n_known = std::size_t(source_->n_tokens());
    source_->append(all.subspan(n_known, all.size() - n_question - n_known));
    source_->set_plan(wanted);
    source_->ask(all.last(n_question), progress);
    return;
  }
  const std::span<const Token> unread = all.last(n_unread());
  if (!must_compress(n_question)) {
    sequence_.prefill(unread, {}, progress);
    return;
  }
  Reading reading{.plan = wanted, .observer = rules_.observer, .n_cells = rules_.cells};
  if (unread.size() > n_question) reading.n_question = std::int32_t(n_question);
  if (!wanted.method->keeps_all()) {
    const std::int32_t room = rules_.cells - wanted.n_to_keep(rules_.cells) - reading.n_question;
    reading.piece = std::clamp(room, 1, session_.options().n_ubatch);
  }
  sequence_.read(unread, reading, progress);
  compress_next_ = false;
}

/// Undoes a turn that could not be read: the conversation becomes what it was, or empty where undoing fails.
class Conversation::Rollback {
 public:
  Rollback(Conversation& conversation, OpenPrompt before, std::size_t n_question)
      : conversation_(conversation), before_(std::move(before)), n_entries_(sequence().n_entries()) {
    if (conversation.source_ || n_entries_ == 0) return;
    // Only a snapshot brings back entries that a compression has dropped.
    if (conversation.must_compress(n_question))
      saved_ = sequence().snapshot();
    else
      place_ = sequence().checkpoint();
  }
  ~Rollback() {
    if (kept_) return;
    try {
      undo();
    } catch (const std::exception&) {
      conversation_.clear();
    }
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;

  void keep() { kept_ = true; }

 private:
  Sequence& sequence() const { return conversation_.sequence_; }

  void undo() {
    conversation_.prompt_ = before_;
    if (saved_) {
      conversation_.n_compressions_ += sequence().n_compressions();
      sequence().restore(*saved_);
    } else if (!conversation_.source_) {
      n_entries_ > 0 ? sequence().go_back(place_) : sequence().clear();
    }
  }

  Conversation& conversation_;
  OpenPrompt before_;
  std::int32_t n_entries_;
  std::optional<Snapshot> saved_;
  Checkpoint place_;
  bool kept_ = false;
};

Turn Conversation::ask(const std::string& question, const std::function<void(std::string_view)>& emit) {
  const std::vector<Token> tokens =
      prompt_.tokens.empty() ? layout_.tokens(question) : layout_.following(prompt_, question);
  if (prompt_.tokens.size() + tokens.size() >= std::size_t(model().info().n_ctx_train)) {
    throw UsageError(
        fmt::format("with this there would be {} tokens, but the model was trained for {}; begin anew "
                    "with /clear",
                    prompt_.tokens.size() + tokens.size(), model().info().n_ctx_train));
  }
  OpenPrompt before = prompt_;
  prompt_.tokens.insert(prompt_.tokens.end(), tokens.begin(), tokens.end());
  prompt_.tail.clear();
  Rollback rollback(*this, std::move(before), tokens.size());

  Turn turn;
  turn.n_read = std::int32_t(source_ ? source_->rest().size() + tokens.size() : n_unread());
  with_progress(turn.n_read > kLongTurn, [&](const Progress& progress) {
    const Stopwatch watch(turn.read_ms);
    read(tokens.size(), progress);
  });
  rollback.keep();

  limit_answer(tokens.size());
  const std::vector<float> logits(session_.logits().begin(), session_.logits().end());
  turn.answer = generate(sequence_, logits, sampler_,
                         {.n_predict = rules_.predict, .emit = emit, .interrupted = events_.interrupted});
  turn.n_until_compression = sequence_.n_until_compression();
  // The answer was too short for its compression, which is left to the next question.
  if (turn.n_until_compression > 0 && !source_) compress_next_ = true;
  sequence_.stop_compressing();
  const std::vector<Token>& said = turn.answer.tokens;
  prompt_.tokens.insert(prompt_.tokens.end(), said.begin(), said.end());
  prompt_.end = layout_.is_chat() ? CacheEnd::answer : CacheEnd::text;
  ++n_turns_;
  last_ = turn;
  return turn;
}

/// Where the answer may fill the cells, lets `decode` drop older entries to make room for it.
void Conversation::limit_answer(std::size_t n_newest) {
  Plan wanted = plan(n_newest);
  if (wanted.method->keeps_all()) return;
  const std::int32_t budget = std::min(wanted.n_to_keep(rules_.cells), rules_.cells);
  const std::int32_t full = std::max(rules_.cells - kFreeForQuestion, budget + 1);
  const std::int32_t n_first = sequence_.n_until_compression();  // answer tokens until a compression
  const std::int32_t n_entries = n_first > 0 ? budget + n_first : sequence_.n_entries();
  if (full > rules_.cells || n_entries + rules_.predict < full) return;
  // By then the answer has lengthened the newest turn. Protect it as well, but leave a quarter of the budget
  // beyond the system prompt to older turns.
  const std::int32_t grown = std::int32_t(n_newest) + std::max(0, full - n_entries);
  wanted.protect_last = std::max(wanted.protect_last, std::min(grown, (budget - n_protected_) * 3 / 4));
  sequence_.compress_while_decoding(wanted, full - budget);
}

void Conversation::set_method(const std::string& spec) {
  auto method = make_method(spec);
  checked(*method);
  std::swap(rules_.method, method);
  try {
    if (source_) source_->set_plan(plan(0));
  } catch (...) {
    std::swap(rules_.method, method);
    throw;
  }
  compress_next_ = sequence_.n_entries() > 0;
}

void Conversation::set_keep(const std::string& budget) {
  rules_.keep = Budget::parse(budget);
  compress_next_ = sequence_.n_entries() > 0;
}

const CacheFormat& Conversation::format() const {
  if (!format_) format_ = format_of(session_);
  return *format_;
}

Snapshot Conversation::saved(CacheFileInfo& info) const {
  const bool is_empty = source_ ? source_->snapshot().n_entries == 0 : sequence_.n_entries() == 0;
  if (is_empty && source_ && !prompt_.tokens.empty())
    throw UsageError(
        "the text is so short that all of it is read anew with each question; there is nothing to save");
  if (is_empty) throw UsageError("nothing is in the cache yet; ask something first");
  Snapshot snapshot = source_ ? source_->snapshot() : sequence_.snapshot();
  info.method = rules_.method->spec();
  info.is_source = source_.has_value();
  if (!source_) {
    info.keep = rules_.keep.to_string();
    info.n_compressions = n_compressions();
  }
  info.end = prompt_.end;
  info.tail = prompt_.tail;
  info.n_protected = n_protected_;
  info.rest.assign(prompt_.tokens.begin() + std::ptrdiff_t(snapshot.tokens.size()), prompt_.tokens.end());
  return snapshot;
}

void Conversation::load(const std::string& path, CacheFile file) {
  require_format(file.info, path, format());
  const auto n_needed = file.snapshot.n_entries + std::int32_t(file.info.rest.size()) + kFreeForQuestion;
  if (n_needed > rules_.cells) {
    throw UsageError(
        fmt::format("'{}' needs {} cells with room for a question, but there are {}; start with "
                    "--cells {} or more",
                    path, n_needed, rules_.cells, n_needed));
  }
  OpenPrompt prompt = prompt_of(file);
  std::optional<Source> source;
  if (file.info.is_source)
    source.emplace(sequence_, std::move(file.snapshot), file.info.rest,
                   Plan{.method = rules_.method, .budget = {}});
  clear();
  if (!source) sequence_.restore(file.snapshot);
  if (source) source_.emplace(std::move(*source));
  prompt_ = std::move(prompt);
  n_protected_ = file.info.n_protected;
  n_compressions_ = file.info.n_compressions;
}

}  // namespace chunkkv::text
