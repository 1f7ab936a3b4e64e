#include "support/cache_rows.h"

#include <ggml.h>
#include <llama.h>

#include <cstring>
#include <stdexcept>

namespace chunkkv::test {
namespace {

class Reader {
 public:
  explicit Reader(const std::vector<std::uint8_t>& bytes) : bytes_(bytes) {}

  template <class T>
  T take() {
    T value;
    std::memcpy(&value, at(sizeof value), sizeof value);
    return value;
  }
  CacheRows::Row row(std::size_t size) {
    const auto* begin = reinterpret_cast<const std::byte*>(at(size));
    return {begin, begin + size};
  }
  bool done() const { return offset_ == bytes_.size(); }

 private:
  const std::uint8_t* at(std::size_t size) {
    if (offset_ + size > bytes_.size()) throw std::runtime_error("state blob ends early");
    offset_ += size;
    return bytes_.data() + offset_ - size;
  }
  const std::vector<std::uint8_t>& bytes_;
  std::size_t offset_ = 0;
};

std::vector<std::vector<CacheRows::Row>> read_layers(Reader& reader, std::uint32_t n_layers,
                                                     std::uint32_t n_cells, int& type) {
  std::vector<std::vector<CacheRows::Row>> layers(n_layers);
  for (auto& rows : layers) {
    type = reader.take<std::int32_t>();
    const auto size = reader.take<std::uint64_t>();
    for (std::uint32_t i = 0; i < n_cells; ++i) rows.push_back(reader.row(size));
  }
  return layers;
}

}  // namespace

CacheRows::Row CacheRows::head(const Row& row, std::size_t head, std::size_t n_heads) {
  const auto size = std::ptrdiff_t(row.size() / n_heads);
  const auto begin = row.begin() + std::ptrdiff_t(head) * size;
  return {begin, begin + size};
}

std::vector<float> CacheRows::floats(const Row& row, int type) {
  const auto* traits = ggml_get_type_traits(static_cast<ggml_type>(type));
  std::vector<float> values(row.size() / traits->type_size * std::size_t(traits->blck_size));
  if (type == GGML_TYPE_F32)
    std::memcpy(values.data(), row.data(), row.size());
  else
    traits->to_float(row.data(), values.data(), std::int64_t(values.size()));
  return values;
}

CacheRows read_cache(llama_context* context, std::int32_t sequence) {
  std::vector<std::uint8_t> blob(llama_state_seq_get_size(context, sequence));
  blob.resize(llama_state_seq_get_data(context, blob.data(), blob.size(), sequence));
  Reader reader(blob);
  reader.take<std::uint32_t>();  // magic
  reader.take<std::int32_t>();   // sequence
  if (reader.take<std::uint32_t>() != 1) throw std::runtime_error("more than one stream");
  const auto n_cells = reader.take<std::uint32_t>();
  CacheRows rows;
  if (n_cells == 0) return rows;
  for (std::uint32_t i = 0; i < n_cells; ++i) {
    rows.positions.push_back(reader.take<std::int32_t>());
    for (auto n = reader.take<std::uint32_t>(); n > 0; --n) reader.take<std::int32_t>();
  }
  if (reader.take<std::uint32_t>() != 0) throw std::runtime_error("values are transposed");
  const auto n_layers = reader.take<std::uint32_t>();
  rows.k = read_layers(reader, n_layers, n_cells, rows.k_type);
  rows.v = read_layers(reader, n_layers, n_cells, rows.v_type);
  if (!reader.done()) throw std::runtime_error("state blob is longer than expected");
  return rows;
}

}  // namespace chunkkv::test
