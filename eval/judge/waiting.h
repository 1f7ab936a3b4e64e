#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <string>

/// Decides when a busy endpoint is asked again.
namespace chunkkv::eval {

/// True for statuses of an endpoint that is busy or will be back soon: 408, 429, 502, 503, 504 and 529.
bool is_busy_status(int http_status);

/// The pause that a Retry-After header asks for, as a number of seconds or as an HTTP date, from which `now`
/// is subtracted; ten minutes at most. Nothing for any other header.
std::optional<std::chrono::seconds> retry_after(const std::string& header, std::time_t now);

/// The pause after failure `attempt`, counted from 0: what the endpoint asks for, from one second to ten
/// minutes; else 1, 2, 4 seconds and so on, up to a minute.
std::chrono::seconds pause_before_retry(int attempt, std::optional<std::chrono::seconds> asked_for);

/// Failures after which a request is given up: about a quarter of an hour where the endpoint names no pause.
inline constexpr int kAttempts = 20;

}  // namespace chunkkv::eval
