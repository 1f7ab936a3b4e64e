// What llama.cpp's server calls for images and sounds. Requests that have some are refused before these are
// reached, so no chunk of that kind ever exists.
#include "mtmd-helper.h"
#include "mtmd.h"

namespace {
const char* const name = "";
}

void mtmd_bitmap_free(mtmd_bitmap*) {}
void mtmd_helper_video_free(mtmd_helper_video*) {}
mtmd_helper_bitmap_wrapper mtmd_helper_bitmap_init_from_buf(const mtmd_context*, const unsigned char*, size_t,
                                                            bool, mtmd_helper_init_opt) {
  return {};
}

mtmd_input_chunks* mtmd_input_chunks_init() {
  return nullptr;
}
size_t mtmd_input_chunks_size(const mtmd_input_chunks*) {
  return 0;
}
const mtmd_input_chunk* mtmd_input_chunks_get(const mtmd_input_chunks*, size_t) {
  return nullptr;
}
void mtmd_input_chunks_free(mtmd_input_chunks*) {}
int32_t mtmd_tokenize(const mtmd_context*, mtmd_input_chunks*, const mtmd_input_text*,
                      const mtmd_bitmap* const*, size_t) {
  return -1;
}

mtmd_input_chunk* mtmd_input_chunk_copy(const mtmd_input_chunk*) {
  return nullptr;
}
mtmd_input_chunk* mtmd_input_chunk_get_placeholder(const mtmd_input_chunk*) {
  return nullptr;
}
void mtmd_input_chunk_free(mtmd_input_chunk*) {}
mtmd_input_chunk* mtmd_input_chunk_load(const char*, size_t) {
  return nullptr;
}
int32_t mtmd_input_chunk_save(const mtmd_input_chunk*, char*, size_t, size_t*) {
  return -1;
}
mtmd_input_chunk_type mtmd_input_chunk_get_type(const mtmd_input_chunk*) {
  return MTMD_INPUT_CHUNK_TYPE_TEXT;
}
const llama_token* mtmd_input_chunk_get_tokens_text(const mtmd_input_chunk*, size_t* n_tokens) {
  *n_tokens = 0;
  return nullptr;
}
size_t mtmd_input_chunk_get_n_tokens(const mtmd_input_chunk*) {
  return 0;
}
const char* mtmd_input_chunk_get_id(const mtmd_input_chunk*) {
  return name;
}
llama_pos mtmd_input_chunk_get_n_pos(const mtmd_input_chunk*) {
  return 0;
}
