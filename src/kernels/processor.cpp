#include "kernels/processor.h"

#ifdef __x86_64__
#include <cpuid.h>

namespace chunkkv::kernels {
namespace {

/// The processor's answer to a leaf and its part; 0 where it has none.
struct Features {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  Features(unsigned leaf, unsigned part) { __get_cpuid_count(leaf, part, &eax, &ebx, &ecx, &edx); }
};

}  // namespace

// What the compiler knows by name it also asks the system for, which must save the registers.
bool has_avx2() {
  constexpr unsigned f16c = 1u << 29;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && (Features(1, 0).ecx & f16c) != 0;
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool has_avxvnni() {
  constexpr unsigned avxvnni = 1u << 4;
  return has_avx2() && (Features(7, 1).eax & avxvnni) != 0;
}
bool has_avx512vnni() {
  return has_avx512() && __builtin_cpu_supports("avx512vnni");
}
bool has_avx512bf16() {
  return has_avx512() && __builtin_cpu_supports("avx512bf16");
}
bool has_avx512fp16() {
  constexpr unsigned avx512fp16 = 1u << 23;
  return has_avx512() && (Features(7, 0).edx & avx512fp16) != 0;
}

}  // namespace chunkkv::kernels
#else
namespace chunkkv::kernels {

bool has_avx2() {
  return false;
}
bool has_avx512() {
  return false;
}
bool has_avxvnni() {
  return false;
}
bool has_avx512vnni() {
  return false;
}
bool has_avx512bf16() {
  return false;
}
bool has_avx512fp16() {
  return false;
}

}  // namespace chunkkv::kernels
#endif
