#pragma once

#include <gtest/gtest.h>

#if defined(__SANITIZE_THREAD__)
#define CHUNKKV_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CHUNKKV_THREAD_SANITIZER
#endif
#endif

/// Begins a slow test whose work is done by one thread. The thread sanitizer would find nothing in it, and
/// makes it many times slower.
#ifdef CHUNKKV_THREAD_SANITIZER
#define CHUNKKV_NEEDS_ONE_THREAD() GTEST_SKIP() << "one thread: nothing for the thread sanitizer"
#else
#define CHUNKKV_NEEDS_ONE_THREAD() static_cast<void>(0)
#endif
