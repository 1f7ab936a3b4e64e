#pragma once

#include "benchmark.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "unit/expect_throw.h"

namespace chunkkv::test {

/// Makes a token of each byte, after a BOS token.
class ByteTokenizer final : public eval::Tokenizer {
 public:
  static constexpr Token kBos = 256;

  std::vector<Token> encode(std::string_view text) const override {
    std::vector<Token> tokens = {kBos};
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
  }

  std::string decode(std::span<const Token> tokens) const override {
    std::string text;
    for (const Token token : tokens)
      if (token != kBos) text += char(token);
    return text;
  }
};

/// Makes a token of each word with the blanks before it; no special tokens.
class WordTokenizer final : public eval::Tokenizer {
 public:
  std::vector<Token> encode(std::string_view text) const override {
    std::vector<Token> tokens;
    while (!text.empty()) {
      const std::size_t word = std::min(text.find_first_not_of(" \n"), text.size());
      const std::size_t end = std::min(text.find_first_of(" \n", word), text.size());
      const auto [entry, added] =
          numbers_.try_emplace(std::string(text.substr(0, end)), Token(words_.size()));
      if (added) words_.push_back(entry->first);
      tokens.push_back(entry->second);
      text.remove_prefix(end);
    }
    return tokens;
  }

  std::string decode(std::span<const Token> tokens) const override {
    std::string text;
    for (const Token token : tokens) text += words_.at(std::size_t(token));
    return text;
  }

 private:
  mutable std::map<std::string, Token, std::less<>> numbers_;
  mutable std::vector<std::string> words_;
};

/// A new folder, removed with its content at the end.
class Folder {
 public:
  Folder() {
    static int n_made = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("chunkkv-eval-" + std::to_string(getpid()) + "-" + std::to_string(n_made++));
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(const std::string& name, std::string_view text) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline void expect_holds(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

/// English text of `n` sentences, no two of them equal.
inline std::string sentences(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    text += "Sentence number " + std::to_string(i) +
            " tells how the river went on past the mill and the old wall.";
    text += i % 5 == 4 ? "\n\n" : " ";
  }
  return text;
}

}  // namespace chunkkv::test
