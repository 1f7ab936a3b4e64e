#include "kernels/amx_tiles.h"

#include "kernels/processor.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace chunkkv::kernels {
namespace {

bool processor_has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned os_saves_state = 1u << 27, amx_bf16 = 1u << 22, amx_tile = 1u << 24;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & os_saves_state) == 0) return false;
  unsigned saved = 0, upper = 0;
  asm volatile("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
  constexpr unsigned tile_state = 3u << 17;
  if ((saved & tile_state) != tile_state) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & amx_bf16) == 0 || (d & amx_tile) == 0)
    return false;
  return has_avx512bf16();
}

/// Linux provides memory for the tiles' state only to a process that asks for it, once for all its threads.
bool system_lets_us() {
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

}  // namespace

bool has_amx() {
  static const bool result = processor_has_amx() && system_lets_us();
  return result;
}

}  // namespace chunkkv::kernels
#else
namespace chunkkv::kernels {

bool has_amx() {
  return false;
}

}  // namespace chunkkv::kernels
#endif
