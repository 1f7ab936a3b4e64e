#include "cli/show/kept_view.h"

#include <chunkkv/metrics.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <span>
#include <string_view>

namespace chunkkv::cli {
namespace {

constexpr std::size_t kColumns = 64;
constexpr std::size_t kPassages = 8;
constexpr std::size_t kPassageBytes = 96;
constexpr double kAgreement = 0.5;

/// For every entry the share of these layers and their KV heads that keep it, 0 to 1.
std::vector<double> kept_share(std::span<const LayerKept> layers, std::int32_t n_entries) {
  std::vector<double> share(static_cast<std::size_t>(n_entries));
  for (const LayerKept& layer : layers) {
    const double part = 1 / double(layer.heads.size() * layers.size());
    for (const auto& kept : layer.heads) {
      for (const std::int32_t entry : kept) share[std::size_t(entry)] += part;
    }
  }
  return share;
}

/// Share of each column's entries that are kept, drawn from a dot (none) to a full block (all).
std::string strip(const std::vector<double>& share) {
  static constexpr std::array<std::string_view, 9> kLevels = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::size_t columns = std::min(kColumns, share.size());
  std::string text;
  for (std::size_t c = 0; c < columns; ++c) {
    const std::size_t begin = c * share.size() / columns, end = (c + 1) * share.size() / columns;
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += share[i];
    text += kLevels[std::size_t(std::ceil(sum / double(end - begin) * 8 - 1e-9))];
  }
  return text;
}

struct Passage {
  std::size_t begin = 0, end = 0;
  double share = 0;  ///< mean over the entries
};

/// Runs of entries that at least half of all layers and heads keep.
std::vector<Passage> agreed_passages(const std::vector<double>& share) {
  std::vector<Passage> passages;
  for (std::size_t i = 0; i < share.size(); ++i) {
    if (share[i] < kAgreement) continue;
    if (passages.empty() || passages.back().end != i) passages.push_back({i, i, 0});
    ++passages.back().end;
    passages.back().share += share[i];
  }
  for (Passage& p : passages) p.share /= double(p.end - p.begin);
  return passages;
}

/// The passage's text in one line, cut in the middle when it is long.
std::string excerpt(const KeptView& view, const Passage& passage) {
  std::string text;
  for (std::size_t i = passage.begin; i < passage.end; ++i) text += view.pieces[i];
  for (char& c : text) c = std::iscntrl(static_cast<unsigned char>(c)) != 0 ? ' ' : c;
  if (text.size() <= kPassageBytes) return text;
  const auto is_inside = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
  };
  std::size_t head = kPassageBytes / 2, tail = text.size() - kPassageBytes / 2;
  while (is_inside(head)) --head;
  while (tail < text.size() && is_inside(tail)) ++tail;
  return text.substr(0, head) + " ... " + text.substr(tail);
}

}  // namespace

std::string summary(const KeptView& view) {
  const Selection& selection = view.selection;
  const auto similarity = layer_similarity(selection.layers);
  std::string text = fmt::format(
      "{} keeps {} of {} tokens in each of {} layers ({} asked for)\n"
      "kept sets of neighbouring layers share {:.0f} % (Jaccard)\n\n"
      "layer  where in the prompt, beginning to end\n",
      view.method, selection.n_kept, selection.n_entries, selection.layers.size(), view.keep,
      100 * adjacent_similarity(similarity, selection.layers.size()));
  if (const std::string parts = describe(view.parts, view.n_layer); !parts.empty())
    text.insert(text.find('\n') + 1, parts + "\n");
  for (const LayerKept& layer : selection.layers) {
    text += fmt::format("{:>5}  {}\n", layer.layer, strip(kept_share({&layer, 1}, selection.n_entries)));
  }
  const auto share = kept_share(selection.layers, selection.n_entries);
  text += fmt::format("  all  {}\n\n", strip(share));

  auto passages = agreed_passages(share);
  std::stable_sort(passages.begin(), passages.end(),
                   [](const Passage& a, const Passage& b) { return a.share > b.share; });
  passages.resize(std::min(passages.size(), kPassages));
  std::sort(passages.begin(), passages.end(),
            [](const Passage& a, const Passage& b) { return a.begin < b.begin; });
  text += passages.empty()
              ? "no passage is kept by half of the layers\n"
              : "passages that most layers keep (first token, share of layers and heads, text)\n";
  for (const Passage& p : passages) {
    text += fmt::format("{:>7}  {:>3.0f} %  {}\n", p.begin, 100 * p.share, excerpt(view, p));
  }
  return text;
}

}  // namespace chunkkv::cli
