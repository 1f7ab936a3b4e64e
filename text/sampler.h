#pragma once

#include <chunkkv/session.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

struct llama_sampler;
struct llama_token_data;

namespace chunkkv::text {

/// How the next token is chosen; names and defaults are llama.cpp's.
struct Sampling {
  float temperature = 0;  ///< 0: always the most likely token
  std::int32_t top_k = 40;
  float top_p = 0.95F;
  float min_p = 0.05F;
  std::int64_t seed = 0;    ///< -1: a random one
  bool ignore_eos = false;  ///< never sample a token that ends the answer
};

/// Samples with llama.cpp's chain of samplers, from logits that the caller passes: two runs can start from a
/// copy of the same ones.
class Sampler {
 public:
  Sampler(const Model& model, const Sampling& sampling);
  ~Sampler();
  /// A copy has the state of `other`: it samples what that one would.
  Sampler(const Sampler& other);
  Sampler& operator=(const Sampler&) = delete;

  /// Error for logits that are no numbers.
  Token sample(std::span<const float> logits);

 private:
  struct Free {
    void operator()(llama_sampler* sampler) const;
  };
  std::unique_ptr<llama_sampler, Free> chain_;
  std::vector<llama_token_data> candidates_;
};

}  // namespace chunkkv::text
