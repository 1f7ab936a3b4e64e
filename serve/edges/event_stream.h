#pragma once

#include <nlohmann/json.hpp>

#include <string>

/// What is sent: JSON, and events of a stream as llama.cpp's replies have them, which are objects with
/// `event` and `data`, or the data alone.
namespace chunkkv::serve {

/// JSON as it is sent: bytes that are not UTF-8, those of a part of a character for example, become U+FFFD.
std::string json_text(const nlohmann::ordered_json& json);

/// Adds the event that ends the arguments of each function call, which llama.cpp leaves out.
void end_arguments(nlohmann::ordered_json& events);

/// Returns an event, or a list of them, as text of the stream; empty for null.
std::string as_events(const nlohmann::ordered_json& data);

}  // namespace chunkkv::serve
