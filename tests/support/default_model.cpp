#include "support/default_model.h"

#include "support/tiny_model.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace chunkkv::test {

std::string default_model() {
  const char* other = std::getenv("CHUNKKV_TEST_MODEL");
  const std::string path = other != nullptr ? other : CHUNKKV_TEST_MODEL;
  if (!std::filesystem::exists(path))
    throw std::runtime_error("there is no " + path +
                             "; scripts/test fetches it, CHUNKKV_TEST_MODEL names another");
  return path;
}

std::string converted_model(const std::string& model, llama_ftype type) {
  const std::string name = std::filesystem::path(model).stem().string() + "-as-" + std::to_string(type);
  const std::string path = tiny_folder() / (name + ".gguf");
  if (std::filesystem::exists(path)) return path;
  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = type;
  params.allow_requantize = true;
  params.nthread = 2;
  if (llama_model_quantize(model.c_str(), path.c_str(), &params) != 0)
    throw std::runtime_error("could not convert " + model);
  return path;
}

std::string f32_model() {
  return converted_model(default_model(), LLAMA_FTYPE_ALL_F32);
}

}  // namespace chunkkv::test
