#include "kernels/byte_quants.h"

namespace chunkkv::kernels {

const ByteQuants* byte_quants([[maybe_unused]] std::string_view type, [[maybe_unused]] bool interleaved) {
#ifdef CHUNKKV_AVX2
  struct Entry {
    std::string_view type;
    const ByteQuants* quants;
  };
  static const Entry entries[] = {{"q4_0", &quants_q4_0},
                                  {"q4_1", &quants_q4_1},
                                  {"q5_0", &quants_q5_0},
                                  {"q5_1", &quants_q5_1},
                                  {"q4_K", &quants_q4_k},
                                  {"q5_K", &quants_q5_k},
                                  {"q6_K", &quants_q6_k},
                                  {"q4_0", &quants_q4_0_interleaved},
                                  {"q4_K", &quants_q4_k_interleaved}};
  for (const Entry& entry : entries)
    if (entry.type == type && entry.quants->interleaved == interleaved) return entry.quants;
#endif
  return nullptr;
}

}  // namespace chunkkv::kernels
