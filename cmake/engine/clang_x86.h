/* Included first into every source of ggml's CPU backend when Clang builds it for x86 (cpu_kernels.cmake). */
#pragma once

/* Clang before 16 names these macros differently, and ggml would leave its AMX kernels out. */
#if defined(__AMXTILE__) && !defined(__AMX_TILE__)
#define __AMX_TILE__ 1
#endif
#if defined(__AMXINT8__) && !defined(__AMX_INT8__)
#define __AMX_INT8__ 1
#endif
#if defined(__AMXBF16__) && !defined(__AMX_BF16__)
#define __AMX_BF16__ 1
#endif

/* With AVX512-FP16 ggml's F16 loops step by 128 values, and heads of 64 run in their scalar tails. What
   is worth having is the conversion, which then vectorises where ggml would look values up in a table. */
#ifdef __AVX512FP16__
#undef __AVX512FP16__
#ifdef __cplusplus
static inline float chunkkv_f16_to_f32(unsigned short bits) {
  _Float16 half;
  __builtin_memcpy(&half, &bits, sizeof half);
  return (float)half;
}
#define GGML_CPU_FP16_TO_FP32(x) chunkkv_f16_to_f32(x)
#endif
#endif
