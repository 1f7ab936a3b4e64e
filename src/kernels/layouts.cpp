#include "kernels/layouts.h"

#include <utility>

namespace chunkkv::kernels {
namespace {

using Named = std::pair<std::string_view, const BlockLayout*>;

template <std::size_t N>
[[maybe_unused]] const BlockLayout* layout_named(const Named (&layouts)[N], std::string_view type) {
  for (const auto& [name, layout] : layouts)
    if (name == type) return layout;
  return nullptr;
}

}  // namespace

const BlockLayout* interleaved_layout([[maybe_unused]] std::string_view type) {
#ifdef CHUNKKV_AVX2
  static const Named layouts[] = {{"q4_0", &interleaved_q4_0},
                                  {"iq4_nl", &interleaved_iq4_nl},
                                  {"mxfp4", &interleaved_mxfp4},
                                  {"q2_K", &interleaved_q2_k},
                                  {"q4_K", &interleaved_q4_k}};
  return layout_named(layouts, type);
#else
  return nullptr;
#endif
}

const BlockLayout* amx_layout([[maybe_unused]] std::string_view type) {
#ifdef CHUNKKV_AMX
  static const Named layouts[] = {{"q4_0", &amx_q4_0}, {"q4_1", &amx_q4_1}, {"q8_0", &amx_q8_0},
                                  {"q4_K", &amx_q4_k}, {"q5_K", &amx_q5_k}, {"q6_K", &amx_q6_k}};
  return layout_named(layouts, type);
#else
  return nullptr;
#endif
}

}  // namespace chunkkv::kernels
