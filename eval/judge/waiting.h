#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <string>

/// When a busy endpoint is asked again.
namespace chunkkv::eval {

/// Statuses of an endpoint that is busy or about to be there again: 408, 429, 502, 503, 504 and 529.
bool is_passing(int http_status);

/// The pause that a Retry-After header asks for: a number of seconds, or an HTTP date, which `now` is taken
/// from. Nothing where it is neither.
std::optional<std::chrono::seconds> retry_after(const std::string& header, std::time_t now);

/// The pause after the `attempt`-th failure, from 0: what the endpoint asks for, at most ten minutes; else 1,
/// 2, 4 seconds and so on, up to a minute.
std::chrono::seconds pause_before_retry(int attempt, std::optional<std::chrono::seconds> asked_for);

/// Failures until one gives up: about a quarter of an hour where the endpoint names no pause.
inline constexpr int kAttempts = 20;

}  // namespace chunkkv::eval
