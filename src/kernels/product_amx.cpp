// Compiled for AVX-512 with BF16, and run only where there is AMX. Nothing here may use templates or inline
// functions of others: the linker might keep this file's copy of them for all.
#include "kernels/product_amx.h"
#include "kernels/amx_layouts.h"
#include "kernels/layouts.h"

namespace chunkkv::kernels {

const ProductKernel product_amx = {.arithmetic = Arithmetic::bf16_amx,
                                   .name = "BF16, AMX",
                                   .reads_by_depth = true,
                                   .shared_bytes = amx_shared_bytes,
                                   .thread_bytes = amx_thread_bytes,
                                   .run = amx_run<Tiles>};

const BlockLayout amx_q4_0 = {16, 32, 288, true, read_amx_q4_0};
const BlockLayout amx_q4_1 = {16, 32, 320, true, read_amx_q4_1};
const BlockLayout amx_q8_0 = {16, 32, 608, true, read_amx_q8_0};
const BlockLayout amx_q4_k = {16, 256, 2368, true, read_amx_q4_k};
const BlockLayout amx_q5_k = {16, 256, 2880, true, read_amx_q5_k};
const BlockLayout amx_q6_k = {16, 256, 3360, true, read_amx_q6_k};

}  // namespace chunkkv::kernels
