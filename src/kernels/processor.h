#pragma once

/// What this processor has, of what the sources of our kernels are compiled for (cmake/Compile.cmake). All
/// are false on other processors than x86-64.
namespace chunkkv::kernels {

bool has_avx2();     ///< with FMA and F16C
bool has_avx512();   ///< F, BW, DQ and VL, and what has_avx2 asks for
bool has_avxvnni();  ///< and has_avx2
// Each of these, and has_avx512.
bool has_avx512vnni();
bool has_avx512bf16();
bool has_avx512fp16();

}  // namespace chunkkv::kernels
