#pragma once

#include <gtest/gtest.h>

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

/// Begins a slow test whose work is done by one thread: the thread sanitizer, with which it is many times
/// slower, would find nothing.
#ifdef __SANITIZE_THREAD__
#define CHUNKKV_NEEDS_ONE_THREAD() GTEST_SKIP() << "one thread: nothing for the thread sanitizer"
#else
#define CHUNKKV_NEEDS_ONE_THREAD() static_cast<void>(0)
#endif
