#include "kernels/byte_quants.h"

namespace chunkkv::kernels {

const ByteQuants* byte_quants([[maybe_unused]] std::string_view type, [[maybe_unused]] bool interleaved) {
#ifdef CHUNKKV_AVX2
  struct Entry {
    std::string_view type;
    const ByteQuants* quants;
  };
  static const Entry entries[] = {{"q4_0", &kQuantsQ40},
                                  {"q4_1", &kQuantsQ41},
                                  {"q5_0", &kQuantsQ50},
                                  {"q5_1", &kQuantsQ51},
                                  {"q8_0", &kQuantsQ80},
                                  {"q2_K", &kQuantsQ2K},
                                  {"q3_K", &kQuantsQ3K},
                                  {"q4_K", &kQuantsQ4K},
                                  {"q5_K", &kQuantsQ5K},
                                  {"q6_K", &kQuantsQ6K},
                                  {"iq4_nl", &kQuantsIq4Nl},
                                  {"iq4_xs", &kQuantsIq4Xs},
                                  {"mxfp4", &kQuantsMxfp4},
                                  {"q4_0", &kQuantsQ40Interleaved},
                                  {"q2_K", &kQuantsQ2KInterleaved},
                                  {"q4_K", &kQuantsQ4KInterleaved},
                                  {"iq4_nl", &kQuantsIq4NlInterleaved},
                                  {"mxfp4", &kQuantsMxfp4Interleaved}};
  for (const Entry& entry : entries)
    if (entry.type == type && entry.quants->interleaved == interleaved) return entry.quants;
#endif
  return nullptr;
}

}  // namespace chunkkv::kernels
