#pragma once

#include <chunkkv/session.h>

#include <cstdint>
#include <string>
#include <vector>

namespace chunkkv::cli {

/// Where the chunks lie that a method keeps or drops as a whole.
struct ChunkGrid {
  std::int32_t begin = 0;   ///< first entry of the grid
  std::int32_t end = 0;     ///< one past its last entry
  std::int32_t length = 1;  ///< entries of a chunk; the last may be shorter
};

/// Everything that is shown of one prompt's kept sets.
struct KeptView {
  std::string model;   ///< file name
  std::string method;  ///< spec
  std::string keep;    ///< budget
  Selection selection;
  CacheParts parts;
  std::int32_t n_layer = 0;  ///< layers of the model
  std::int32_t n_head_kv = 0;
  SelectionRule rule;
  std::int32_t window = 0;  ///< what a small budget shrank the window to; 0: the method's own
  ChunkGrid chunks;
  /// Text of every token. A character that several tokens make up belongs to the last of them; the others
  /// have no part of it.
  std::vector<std::string> pieces;
};

KeptView make_view(const Session& session, const Plan& plan, const std::vector<Token>& prompt);

/// What was kept, in a few lines for a terminal: where in the prompt each layer keeps, and the passages that
/// most layers agree on.
std::string summary(const KeptView& view);

/// One self-contained HTML page that draws the text with what each layer kept.
std::string kept_page(const KeptView& view);

}  // namespace chunkkv::cli
