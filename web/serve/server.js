// ---- the server: requests, streams, and its errors in plain words

class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

let apiKey = remembered("sessionStorage", "key") ?? "";

/// `path` is relative, so that the page works below another server's folder too.
async function request(path, options = {}) {
  const headers = { ...options.headers, ...(apiKey && { Authorization: `Bearer ${apiKey}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    throw plainError(error);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/// Leaves a stop by the user as it is; anything else that fetch throws is a lost connection.
function plainError(error) {
  if (error instanceof ServerError || error.name === "AbortError") return error;
  return new ServerError("The server cannot be reached. Does it still run?");
}

async function refusal(response) {
  let message = "";
  try {
    message = (await response.json()).error?.message ?? "";
  } catch { /* another server in between may answer with a page */ }
  if (response.status === 401) askForKey();
  const words = {
    401: apiKey ? "The server refuses this API key" : "The server asks for an API key",
    404: "The server does not have this",
    429: "The server is busy",
    503: "The server is not ready",
  }[response.status] ?? (response.status >= 500 ? "The server failed" : "The server refuses this");
  return new ServerError(message ? `${words}: ${message}` : `${words} (HTTP ${response.status}).`, response.status);
}

/// The objects of a stream of server-sent events, each on one line.
async function* streamed(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new ServerError("The connection ended before the answer did.");
      const lines = (rest + value).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue;  // pings, and the empty lines between events
        const data = line.slice(5).trim();
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw new ServerError(`The answer broke off: ${event.error.message}`, event.error.code);
        yield event;
      }
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw new ServerError("The server sent what this page does not understand.");
    throw plainError(error);
  } finally {
    reader.cancel().catch(() => {});
  }
}

function askForKey() {
  byId("key-form").hidden = false;
  byId("key").focus();
}
byId("key-form").addEventListener("submit", event => {
  event.preventDefault();
  apiKey = byId("key").value;
  remember("sessionStorage", "key", apiKey);
  byId("key").value = "";
  byId("key-form").hidden = true;
  input.focus();
  start();
});
