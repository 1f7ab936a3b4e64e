#include "serve/edges/event_stream.h"

#include <utility>

namespace chunkkv::serve {

using Json = nlohmann::ordered_json;

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void end_arguments(Json& events) {
  Json all = Json::array();
  for (Json& event : events) {
    const Json data = event.value("data", Json::object());
    if (data.value("type", "") == "response.output_item.done" &&
        data["item"].value("type", "") == "function_call") {
      const std::string type = "response.function_call_arguments.done";
      all.push_back({{"event", type},
                     {"data",
                      {{"type", type},
                       {"item_id", data["item"]["id"]},
                       {"name", data["item"]["name"]},
                       {"arguments", data["item"]["arguments"]}}}});
    }
    all.push_back(std::move(event));
  }
  events = std::move(all);
}

std::string as_events(const Json& data) {
  std::string text;
  if (data.is_array()) {
    for (const Json& event : data) text += as_events(event);
  } else if (data.contains("event") && data.contains("data")) {
    text = "event: " + data["event"].get<std::string>() + "\ndata: " + json_text(data["data"]) + "\n\n";
  } else if (!data.is_null()) {
    text = "data: " + json_text(data) + "\n\n";
  }
  return text;
}

}  // namespace chunkkv::serve
