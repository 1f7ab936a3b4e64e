// The engine's own messages would bury those of the tests; only its errors are shown.
#include <gtest/gtest.h>
#include <llama.h>

#include <cstdio>

namespace {

class QuietEngine : public testing::Environment {
 public:
  void SetUp() override {
    llama_log_set(
        [](ggml_log_level level, const char* text, void*) {
          if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
        },
        nullptr);
  }
};

[[maybe_unused]] const auto* const kEnvironment = testing::AddGlobalTestEnvironment(new QuietEngine);

}  // namespace
