#include <chunkkv/chunkkv.h>

#include <cstdio>

// Needs the pure part (a spec string), the part behind it that links the engine (loading a model), and
// exceptions that cross the library's border.
int main() {
  const auto method = chunkkv::make_method("chunkkv:chunk=5");
  std::printf("%s\n", method->spec().c_str());
  try {
    chunkkv::Model::load("no such model.gguf");
  } catch (const chunkkv::Error& error) {
    std::printf("%s\n", error.what());
    return method->spec() == "chunkkv:chunk=5" ? 0 : 1;
  }
  return 1;
}
