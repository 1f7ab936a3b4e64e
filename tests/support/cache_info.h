#pragma once

#include <chunkkv/cache_file.h>
#include <chunkkv/session.h>

namespace chunkkv::test {

/// What a cache file must tell so that a session like `session` reads it.
inline CacheFileInfo info_of(const Session& session) {
  const CacheFormat format = format_of(session);
  CacheFileInfo info;
  info.model = format.model;
  info.parts = session.cache_parts();
  info.type_k = format.type_k;
  info.type_v = format.type_v;
  info.engine_format = format.engine_format;
  return info;
}

}  // namespace chunkkv::test
