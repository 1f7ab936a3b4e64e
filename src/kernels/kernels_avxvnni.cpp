// Compiled for AVX2 with AVX-VNNI, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/byte_quads.h"
#include "kernels/integer_keys.h"
#include "kernels/kernel_set.h"
#include "kernels/similar_keys_shape.h"

namespace chunkkv::kernels {

KernelSet kernels_avxvnni() {
  return {.similar_keys = similar_keys_kernel<IntegerKeys<ByteQuads<8>, 4, 2>>("AVX-VNNI")};
}

}  // namespace chunkkv::kernels
