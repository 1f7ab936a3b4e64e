#include <chunkkv/registry.h>

#include "methods/list.h"

namespace chunkkv {

std::span<const MethodInfo> methods() {
  static const std::vector<MethodInfo> all = {
      full_method(),    random_method(),    streamingllm_method(), tova_method(),     h2o_method(),
      snapkv_method(),  pyramidkv_method(), chunkkv_method(),      rkv_method(),      hybrid_method(),
      keydiff_method(), knorm_method(),     lagkv_method(),        leverage_method(),
  };
  return all;
}

}  // namespace chunkkv
