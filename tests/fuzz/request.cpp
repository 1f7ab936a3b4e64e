// A request's body in every dialect, which the first byte chooses: the parser takes it or throws an Error.
#include "fuzz/target.h"
#include "serve/edges/request_parser.h"
#include "serve/edges/token_sampler.h"
#include "serve/engine/kv_settings.h"
#include "support/tiny_model.h"

#include <chunkkv/error.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include <llama.h>

#include <string>

namespace {

using namespace chunkkv;
using fuzz::require;

struct Fixture {
  std::shared_ptr<Model> model = Model::load(test::write_tiny_model({.n_layer = 1}, test::tiny_folder()));
  serve::RequestParser parser{model, serve::RequestDefaults{.most_answers = 4}};
  serve::KvSettings kv;

  Fixture() {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    kv.method = make_method("full");
  }
};

void parse_kv(const Fixture& world, const std::string& body) {
  const auto object = serve::parse_object(body);
  require(object.is_object(), "a body is an object");
  if (!object.contains("kv")) return;
  const serve::KvSettings kv = serve::with_field(world.kv, object.at("kv"));
  require(kv.method != nullptr && kv.cells >= 0 && kv.keep_at_least >= 0,
          "settings that are taken can be used");
  if (!kv.name.empty()) require(kv.name.find('/') == kv.name.npos, "a name is no path");
}

void parse_request(const Fixture& world, serve::Dialect dialect, const std::string& body) {
  const serve::ParsedRequest request = world.parser.parse(dialect, body, true);
  require(request.n_answers >= 1 && request.n_answers <= 4, "the number of answers is bounded");
  require(!request.prompts.empty(), "a request has prompts");
  for (const serve::ParsedPrompt& prompt : request.prompts) {
    const auto n = std::int32_t(prompt.tokens.size());
    require(prompt.n_system >= 0 && prompt.n_system <= n, "the system prompt is part of the prompt");
    require(prompt.n_question >= 0 && prompt.n_question <= n, "the question is part of the prompt");
  }
  serve::TokenSampler(*world.model, *request.rules, 0).accept_prompt(request.prompts.front().tokens);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Fixture world;
  if (size == 0) return 0;
  const auto dialect = serve::Dialect(data[0] % 5);
  const std::string body(fuzz::as_text(data + 1, size - 1));
  try {
    parse_kv(world, body);
    parse_request(world, dialect, body);
  } catch (const Error&) {
  }
  return 0;
}
