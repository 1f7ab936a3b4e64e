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
  static const Named layouts[] = {{"q4_0", &kInterleavedQ40},
                                  {"iq4_nl", &kInterleavedIq4Nl},
                                  {"mxfp4", &kInterleavedMxfp4},
                                  {"q2_K", &kInterleavedQ2K},
                                  {"q4_K", &kInterleavedQ4K}};
  return layout_named(layouts, type);
#else
  return nullptr;
#endif
}

const BlockLayout* amx_layout([[maybe_unused]] std::string_view type) {
#ifdef CHUNKKV_AMX
  static const Named layouts[] = {{"q4_0", &kAmxQ40},    {"q4_1", &kAmxQ41}, {"q8_0", &kAmxQ80},
                                  {"q4_K", &kAmxQ4K},    {"q5_K", &kAmxQ5K}, {"q6_K", &kAmxQ6K},
                                  {"iq4_xs", &kAmxIq4Xs}};
  return layout_named(layouts, type);
#else
  return nullptr;
#endif
}

}  // namespace chunkkv::kernels
