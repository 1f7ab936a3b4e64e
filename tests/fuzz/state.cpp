// The engine's part of a cache file: bytes of a real state are changed. Either the state is refused, or the
// engine takes it and the session works on.
#include "fuzz/target.h"
#include "support/random_input.h"
#include "support/tiny_model.h"

#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include <llama.h>

#include <cstring>

namespace {

using namespace chunkkv;
using fuzz::require;

SessionOptions options() {
  SessionOptions options;
  options.n_cells = 64;
  options.n_threads = 1;
  return options;
}

/// A model, a session over it, and a cache that it saved.
struct Fixture {
  std::shared_ptr<Model> model =
      Model::load(test::write_tiny_model({.n_layer = 2, .head_dim = 32}, test::tiny_folder()));
  Session session{model, options()};
  Snapshot good;

  Fixture() {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    std::mt19937 random(1);
    session.sequence().prefill(test::random_tokens(random, 20));
    session.sequence().compress(test::random_layers(random, 2, 2, 20, 6));
    session.sequence().decode(5);
    good = session.sequence().snapshot();
  }
};

/// Changes the state as the input says: every 7 bytes are a 16-bit offset, a count and 4 bytes, of which 1 to
/// 4 are written there. Two bytes of the rest say how much to lengthen and to cut the state.
void change(std::vector<std::byte>& state, const std::uint8_t* data, std::size_t size) {
  while (size >= 7) {
    std::uint16_t offset = 0;
    std::memcpy(&offset, data, sizeof offset);
    const std::size_t count = 1 + data[2] % 4;
    for (std::size_t i = 0; i < count; ++i)
      if (offset + i < state.size()) state[offset + i] = std::byte(data[3 + i]);
    data += 7;
    size -= 7;
  }
  if (size >= 2) state.resize(state.size() + data[0] - std::min<std::size_t>(state.size(), data[1]));
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Fixture world;
  Snapshot bad = world.good;
  change(bad.state, data, size);
  try {
    world.session.sequence().restore(bad);
    require(world.session.sequence().n_entries() == world.good.n_entries,
            "a cache that is taken has its entries");
    world.session.sequence().decode(6);
  } catch (const Error&) {
    require(world.session.sequence().n_entries() == 0, "a cache that is refused leaves nothing");
  }
  try {
    world.session.sequence().restore(world.session.converted(std::move(bad)));
  } catch (const Error&) {
  }
  return 0;
}
