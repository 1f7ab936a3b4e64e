#pragma once

/// chunkkv: KV-cache compression for llama.cpp. Start at session.h.
#include <chunkkv/budget.h>
#include <chunkkv/error.h>
#include <chunkkv/method.h>
#include <chunkkv/metrics.h>
#include <chunkkv/observation.h>
#include <chunkkv/registry.h>
#include <chunkkv/selection.h>
#include <chunkkv/session.h>
#include <chunkkv/types.h>
