// Compiled for AVX-512 with BF16, and run only on processors with AMX. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product_amx.h"
#include "kernels/amx_layouts.h"
#include "kernels/layouts.h"

namespace chunkkv::kernels {

const ProductKernel kProductAmx = amx_product<Tiles>("BF16, AMX");

const BlockLayout kAmxQ40 = {16, 32, 288, true, read_amx_q4_0};
const BlockLayout kAmxQ41 = {16, 32, 320, true, read_amx_q4_1};
const BlockLayout kAmxQ80 = {16, 32, 608, true, read_amx_q8_0};
const BlockLayout kAmxQ4K = {16, 256, 2368, true, read_amx_q4_k};
const BlockLayout kAmxQ5K = {16, 256, 2880, true, read_amx_q5_k};
const BlockLayout kAmxQ6K = {16, 256, 3360, true, read_amx_q6_k};
const BlockLayout kAmxIq4Xs = {16, 256, 2208, true, read_amx_iq4_xs};

}  // namespace chunkkv::kernels
