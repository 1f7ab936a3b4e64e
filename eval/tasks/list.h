#pragma once

#include "benchmark.h"

namespace chunkkv::eval {

// Each is defined in the file of its benchmark, and benchmarks() lists them.
BenchmarkInfo longbench_benchmark();
BenchmarkInfo longbench_e_benchmark();
BenchmarkInfo niah_benchmark();
BenchmarkInfo gsm8k_benchmark();
BenchmarkInfo gsm8k_manyshot_benchmark();
BenchmarkInfo jailbreakv_benchmark();
BenchmarkInfo multiturn_benchmark();

}  // namespace chunkkv::eval
