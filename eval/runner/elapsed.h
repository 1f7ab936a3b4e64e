#pragma once

#include "runner/sweep.h"

namespace chunkkv::eval {

/// The times that a session has measured since this object was made.
class Elapsed {
 public:
  explicit Elapsed(const Session& session) : session_(session), start_(session.timings()) {}

  void add_to(Outcome::Milliseconds& ms) const {
    const Timings& now = session_.timings();
    ms.observe += now.observe - start_.observe;
    ms.select += now.select - start_.select;
    ms.prefill += now.prefill - start_.prefill;
    ms.move += now.move - start_.move;
  }

 private:
  const Session& session_;
  Timings start_;
};

inline std::vector<float> in_vector(std::span<const float> logits) {
  return {logits.begin(), logits.end()};
}

}  // namespace chunkkv::eval
