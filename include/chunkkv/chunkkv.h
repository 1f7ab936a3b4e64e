#pragma once

/// chunkkv: KV-cache compression for llama.cpp. Start at session.h and sequence.h.
#include <chunkkv/budget.h>
#include <chunkkv/cache.h>
#include <chunkkv/cache_file.h>
#include <chunkkv/devices.h>
#include <chunkkv/error.h>
#include <chunkkv/fidelity.h>
#include <chunkkv/method.h>
#include <chunkkv/metrics.h>
#include <chunkkv/model.h>
#include <chunkkv/model_identity.h>
#include <chunkkv/observation.h>
#include <chunkkv/plan.h>
#include <chunkkv/prefix.h>
#include <chunkkv/prompt_attention.h>
#include <chunkkv/reading.h>
#include <chunkkv/registry.h>
#include <chunkkv/selection.h>
#include <chunkkv/sequence.h>
#include <chunkkv/session.h>
#include <chunkkv/snapshot.h>
#include <chunkkv/source.h>
#include <chunkkv/types.h>
