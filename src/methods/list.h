#pragma once

#include <chunkkv/registry.h>

namespace chunkkv {

// For each method, in its file: name, paper, parameters and how it is made. methods() lists them.
MethodInfo full_method();
MethodInfo random_method();
MethodInfo streamingllm_method();
MethodInfo tova_method();
MethodInfo h2o_method();
MethodInfo snapkv_method();
MethodInfo pyramidkv_method();
MethodInfo chunkkv_method();
MethodInfo rkv_method();
MethodInfo keydiff_method();
MethodInfo knorm_method();
MethodInfo lagkv_method();
MethodInfo leverage_method();
MethodInfo hybrid_method();

}  // namespace chunkkv
