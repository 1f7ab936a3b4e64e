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
  bool ignore_eos = false;  ///< an answer goes on to its limit
};

/// llama.cpp's samplers over logits that may be a copy, so that two runs can start from the same ones.
/// Temperature 0 takes the most likely token.
class Sampler {
 public:
  Sampler(const Model& model, const Sampling& sampling);
  ~Sampler();
  /// A copy goes on as this one would.
  Sampler(const Sampler& other);
  Sampler& operator=(const Sampler&) = delete;

  Token sample(std::span<const float> logits);

 private:
  struct Free {
    void operator()(llama_sampler* sampler) const;
  };
  std::unique_ptr<llama_sampler, Free> chain_;
  std::vector<llama_token_data> candidates_;
};

}  // namespace chunkkv::text
