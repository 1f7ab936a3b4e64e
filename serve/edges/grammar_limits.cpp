#include "serve/edges/grammar_limits.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace chunkkv::serve {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;
constexpr int kDeepest = 200;        // levels of parentheses
constexpr int kLongestChain = 1000;  // rules of which each may begin with the next
/// Most ways to continue at one place: the engine tries each token against all of them.
constexpr double kMostWays = 1500;
/// Ways that each character of a class counts as.
constexpr double kClassShare = 1.0 / 16;
/// Most passes over all rules until each knows what the others begin with.
constexpr int kMostSweeps = 100;
constexpr int kNoRule = -1;

[[noreturn]] void refuse(const std::string& why) {
  throw UsageError("the grammar is too large to be used: " + why);
}

/// How a rule or an element of a grammar may begin.
struct Start {
  double n_ways = 0;
  bool may_be_empty = false;
  int depth = 0;  // of the chain of rules that begin with one another
  bool operator==(const Start&) const = default;
};

struct Element {
  double n_ways = 1;  // of a text or a class
  bool is_empty = false;
  int rule = kNoRule;  // that a name or a group refers to
  double repeats = 1;  // the largest number in braces; 1 without any
  bool is_optional = false;
};

using Sequence = std::vector<Element>;
using Alternatives = std::vector<Sequence>;

/// Reads of a grammar what `WayCounter` needs: rules, groups, alternatives and repetitions.
class GrammarReader {
 public:
  explicit GrammarReader(std::string_view text) : text_(text) {}

  /// Reads every rule and group; returns false when the text is no grammar.
  bool read() {
    skip_space(true);
    while (at_ < text_.size()) {
      const std::string name = read_name();
      skip_space(false);
      if (name.empty() || text_.substr(at_, 3) != "::=") return false;
      at_ += 3;
      skip_space(true);
      Alternatives alternatives;
      if (!read_alternatives(alternatives, 0)) return false;
      auto& rule = rules_[std::size_t(rule_named(name))];
      rule.insert(rule.end(), std::make_move_iterator(alternatives.begin()),
                  std::make_move_iterator(alternatives.end()));
      if (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') return false;
      skip_space(true);
    }
    return true;
  }
  const std::vector<Alternatives>& rules() const { return rules_; }

 private:
  char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space(bool lines) {
    while (at_ < text_.size()) {
      if (next() == '#')
        while (at_ < text_.size() && next() != '\n' && next() != '\r') ++at_;
      else if (next() == ' ' || next() == '\t' || (lines && (next() == '\n' || next() == '\r')))
        ++at_;
      else
        break;
    }
  }

  std::string read_name() {
    const std::size_t begin = at_;
    while ((next() >= 'a' && next() <= 'z') || (next() >= 'A' && next() <= 'Z') ||
           (next() >= '0' && next() <= '9') || next() == '-')
      ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  int rule_named(const std::string& name) {
    const auto [it, is_new] = names_.emplace(name, int(rules_.size()));
    if (is_new) rules_.emplace_back();
    return it->second;
  }

  /// Moves behind `end`, past escaped characters, and counts those in between. False when there is no `end`.
  bool skip_until(char end, double& n) {
    for (++at_, n = 0; at_ < text_.size() && next() != end; ++n) at_ += next() == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return false;
    ++at_;
    return true;
  }

  bool read_alternatives(Alternatives& alternatives, int depth) {
    if (depth > kDeepest) refuse(fmt::format("it nests more than {} levels deep", kDeepest));
    while (true) {
      if (!read_sequence(alternatives.emplace_back(), depth)) return false;
      if (next() != '|') return true;
      ++at_;
      skip_space(true);
    }
  }

  bool read_sequence(Sequence& sequence, int depth) {
    while (at_ < text_.size()) {
      Element element;
      double n = 0;
      const char c = next();
      if (c == '"') {
        if (!skip_until('"', n)) return false;
        element.is_empty = n == 0;
      } else if (c == '[') {
        if (!skip_until(']', n)) return false;
        element.n_ways = 1 + n * kClassShare;
      } else if (c == '.') {
        ++at_;
      } else if (c == '<' || c == '!') {
        if (!skip_until('>', n)) return false;
      } else if (c == '(') {
        ++at_;
        skip_space(true);
        Alternatives inner;
        if (!read_alternatives(inner, depth + 1) || next() != ')') return false;
        ++at_;
        element.rule = int(rules_.size());
        rules_.push_back(std::move(inner));
      } else if (std::string name = read_name(); !name.empty()) {
        element.rule = rule_named(name);
      } else {
        return true;
      }
      skip_space(depth > 0);
      if (!read_repetitions(element)) return false;
      skip_space(depth > 0);
      sequence.push_back(element);
    }
    return true;
  }

  bool read_repetitions(Element& element) {
    while (true) {
      const char c = next();
      if (c == '*' || c == '?') element.is_optional = true;
      if (c == '*' || c == '+' || c == '?') {
        ++at_;
      } else if (c == '{') {
        double n = 0;
        const std::size_t begin = at_ + 1;
        if (!skip_until('}', n)) return false;
        const std::string_view bounds = text_.substr(begin, at_ - 1 - begin);
        const std::size_t comma = bounds.find(',');
        const double least = number(bounds.substr(0, comma));
        const double most = comma == bounds.npos ? least : number(bounds.substr(comma + 1));
        if (comma != bounds.npos && comma + 1 < bounds.size() && most < least)
          throw UsageError(
              fmt::format("the grammar repeats something {{{}}} times: the second number is the "
                          "smaller one",
                          bounds));  // the engine's parser would not end
        if (least == 0) element.is_optional = true;
        element.repeats *= std::max({least, most, 1.0});
      } else {
        return true;
      }
      skip_space(false);
    }
  }

  static double number(std::string_view digits) {
    double value = 0;
    for (const char c : digits)
      if (c >= '0' && c <= '9') value = std::min(value * 10 + (c - '0'), 1e9);
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string, int> names_;
  std::vector<Alternatives> rules_;
};

/// Counts the ways to continue at every place. Rules may stand in any order, so this goes over them, back and
/// forth, until nothing changes.
class WayCounter {
 public:
  explicit WayCounter(const std::vector<Alternatives>& rules) : rules_(rules), starts_(rules.size()) {}

  void require_few() {
    for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
      bool changes = false;
      for (std::size_t i = 0; i < rules_.size(); ++i)
        changes |= update(sweep % 2 == 0 ? rules_.size() - 1 - i : i);
      if (!changes) return;
    }
    refuse("its rules begin with one another, or with themselves");
  }

 private:
  bool update(std::size_t rule) {
    Start start;
    for (const Sequence& sequence : rules_[rule]) {
      const Start of_sequence = start_of(sequence);
      start.n_ways += of_sequence.n_ways;
      start.may_be_empty |= of_sequence.may_be_empty;
      start.depth = std::max(start.depth, of_sequence.depth + 1);
    }
    require_few(start);
    return std::exchange(starts_[rule], start) != start;
  }

  /// Goes from the last element to the first: where one may be empty, the ways of what follows count as well.
  Start start_of(const Sequence& sequence) const {
    Start rest{.may_be_empty = true};
    for (std::size_t i = sequence.size(); i-- > 0;) {
      const Element& element = sequence[i];
      Start own{.n_ways = element.n_ways, .may_be_empty = element.is_empty};
      if (element.rule != kNoRule) own = starts_[std::size_t(element.rule)];
      if (own.may_be_empty) own.n_ways *= element.repeats;
      own.may_be_empty |= element.is_optional;
      if (own.may_be_empty) {
        own.n_ways += rest.n_ways;
        own.depth = std::max(own.depth, rest.depth);
        own.may_be_empty = rest.may_be_empty;
      }
      rest = own;
      require_few(rest);
    }
    return rest;
  }

  static void require_few(const Start& start) {
    if (start.n_ways > kMostWays)
      refuse(fmt::format("it leaves more than {} ways open at one place", kMostWays));
    if (start.depth > kLongestChain) refuse("too many rules begin with one another");
  }

  const std::vector<Alternatives>& rules_;
  std::vector<Start> starts_;
};

}  // namespace

void require_small_grammar(std::string_view grammar) {
  if (grammar.size() > kMostBytes)
    refuse(fmt::format("it has {} bytes, and {} are the most", grammar.size(), kMostBytes));
  GrammarReader reader(grammar);
  if (reader.read()) WayCounter(reader.rules()).require_few();
}

}  // namespace chunkkv::serve
