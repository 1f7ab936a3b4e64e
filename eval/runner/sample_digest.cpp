#include "runner/sample_digest.h"

#include "base/hash.h"

#include <span>
#include <string_view>

namespace chunkkv::eval {
namespace {

constexpr std::size_t kDigits = 16;

/// Hashes texts and numbers, each text after its length, so that none runs into the next.
class Digest {
 public:
  void add(std::uint64_t number) {
    for (int i = 0; i < 8; ++i) {
      const auto byte = std::byte(number >> (8 * i) & 0xFF);
      hash_.add({&byte, 1});
    }
  }
  void add(std::string_view text) {
    add(std::uint64_t(text.size()));
    hash_.add(std::as_bytes(std::span(text)));
  }
  void add(const std::vector<std::string>& texts) {
    add(std::uint64_t(texts.size()));
    for (const std::string& text : texts) add(text);
  }
  std::string text() const { return hash_.hex().substr(0, kDigits); }

 private:
  Hash hash_;
};

}  // namespace

std::string sample_digest(const Sample& sample, std::int32_t n_predict, std::int32_t n_cells) {
  Digest digest;
  digest.add(sample.document);
  digest.add(std::uint64_t(sample.questions.size()));
  for (const Question& question : sample.questions) {
    digest.add(question.text);
    digest.add(question.references);
  }
  digest.add(std::uint64_t(sample.chat_template));
  digest.add(sample.stops);
  digest.add(sample.classes);
  digest.add(std::uint64_t(n_predict));
  digest.add(std::uint64_t(n_cells));
  return digest.text();
}

}  // namespace chunkkv::eval
