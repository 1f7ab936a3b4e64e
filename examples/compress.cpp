#include <chunkkv/chunkkv.h>

#include <algorithm>
#include <cstdio>
#include <string>

// Reads a prompt, keeps a tenth of its cache and lets the model go on from there.
int main(int argc, char** argv) try {
  if (argc != 3) throw chunkkv::UsageError("usage: compress MODEL.gguf TEXT");
  const auto model = chunkkv::Model::load(argv[1]);
  const auto prompt = model->tokenize(argv[2], true, false);

  chunkkv::SessionOptions options;
  options.n_cells = static_cast<std::int32_t>(prompt.size()) + 64;
  chunkkv::Session session(model, options);
  chunkkv::Sequence& sequence = session.sequence();

  const chunkkv::Plan plan{chunkkv::make_method("chunkkv:chunk=10,reuse=2"), chunkkv::Budget::parse("10%")};
  sequence.prefill(prompt, {&plan, 1});     // reads the prompt; the plan chooses meanwhile
  sequence.compress(sequence.selection());  // drops the entries that the plan did not choose
  std::printf("%d of %zu tokens kept\n", sequence.n_entries(), prompt.size());

  for (int i = 0; i < 16; ++i) {
    const auto logits = session.logits();
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    std::printf("%s", model->detokenize(static_cast<chunkkv::Token>(best)).c_str());
    sequence.decode(static_cast<chunkkv::Token>(best));
  }
  std::printf("\n");
} catch (const chunkkv::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
