#pragma once

/// chunkkv: KV-cache compression for llama.cpp. Start at session.h.
#include <chunkkv/budget.h>
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
#include <chunkkv/prompt_attention.h>
#include <chunkkv/registry.h>
#include <chunkkv/selection.h>
#include <chunkkv/session.h>
#include <chunkkv/source.h>
#include <chunkkv/types.h>
