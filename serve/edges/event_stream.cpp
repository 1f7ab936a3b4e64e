#include "serve/edges/event_stream.h"

#include "serve/edges/json_text.h"

#include <utility>

namespace chunkkv::serve {

using Json = nlohmann::ordered_json;

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
  const auto add = [&](const Json& event) {
    if (event.contains("event") && event.contains("data")) {
      text += "event: " + event["event"].get<std::string>() + "\n";
      text += "data: " + json_text(event["data"]) + "\n\n";
    } else {
      text += "data: " + json_text(event) + "\n\n";
    }
  };
  if (data.is_array()) {
    for (const Json& event : data) add(event);
  } else if (!data.is_null()) {
    add(data);
  }
  return text;
}

}  // namespace chunkkv::serve
