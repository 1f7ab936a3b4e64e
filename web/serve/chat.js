// ---- the conversation

const input = byId("input"), log = byId("log");
let messages = [];   // as they are sent to the server
let running = null;  // aborts the answer that streams

function setRunning(controller) {
  const [before, after] = controller ? ["send", "stop"] : ["stop", "send"];
  const hasFocus = document.activeElement === byId(before);
  running = controller;
  byId(before).hidden = true;
  byId(after).hidden = false;
  if (hasFocus) byId(after).focus();
  byId("new").disabled = Boolean(controller);
  log.setAttribute("aria-busy", Boolean(controller));  // screen readers read an answer when it is whole
}

/// Runs `change` on the view of the conversation and scrolls to its end, unless the reader has scrolled away from it.
function atEnd(change, always = false) {
  const follows = always || log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  change();
  if (follows) log.scrollTop = log.scrollHeight;
}

/// Streams the answer to `messages` into its view. Returns the last event with its figures, the time of the first text
/// in milliseconds, and whether the answer was cut off.
async function stream(answer, signal) {
  const began = performance.now();
  let first = null, last = {}, isCut = false;
  const response = await request("v1/chat/completions", {
    method: "POST", signal, headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ messages, stream: true, stream_options: { include_usage: true }, ...requestSettings() }),
  });
  for await (const event of streamed(response)) {
    const choice = event.choices?.[0];
    if (event.kv || event.timings) last = event;
    if (choice?.finish_reason === "length") isCut = true;
    if (!choice?.delta?.content && !choice?.delta?.reasoning_content) continue;
    first ??= performance.now() - began;
    atEnd(() => answer.add(choice.delta));
  }
  return { last, first, isCut };
}

async function send() {
  const question = input.value.trim(), attached = documents;
  if (!question || running || !settingsAreValid()) return;
  notice("");
  byId("hint").hidden = true;
  const asked = questionView(question, attached), answer = answerView(), before = messages;
  messages = [...messages, { role: "user", content: [...attached.map(each => each.text), question].join("\n\n") }];
  atEnd(() => log.append(asked, answer.element), true);
  input.value = "";
  setDocuments([]);
  setRunning(new AbortController());
  try {
    const { last, first, isCut } = await stream(answer, running.signal);
    const remark = isCut ? "The answer reached its longest length." : answer.text ? null : "The answer is empty.";
    atEnd(() => answer.end(remark && el("p.soft", {}, remark), answerFigures(last, first)));
    if (last.kv?.slot !== undefined) keptIn(last.kv.slot);
  } catch (error) {
    const isStop = error.name === "AbortError";
    if (!isStop) notice(error.message);
    if (answer.text) {
      atEnd(() => answer.end(el("p.soft", {}, isStop ? "Stopped." : "Broken off.")));
    } else {  // takes the question back: the user can change it and try again
      messages = before;
      asked.remove();
      answer.element.remove();
      byId("hint").hidden = messages.length > 0;
      input.value = [question, input.value].filter(Boolean).join("\n");
      setDocuments([...attached, ...documents]);
    }
  }
  if (answer.element.isConnected) messages = [...messages, { role: "assistant", content: answer.text }];
  setRunning(null);
}

const stop = () => running?.abort();

byId("composer").addEventListener("submit", event => {
  event.preventDefault();
  send();
});
input.addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
byId("stop").addEventListener("click", stop);
addEventListener("keydown", event => {
  if (event.key !== "Escape") return;
  if (running) stop();
  else if (byId("kept").contains(document.activeElement)) openKept(false);
});
byId("new").addEventListener("click", () => {
  messages = [];
  notice("");
  log.replaceChildren(byId("hint"));
  byId("hint").hidden = false;
  keptView.slot = null;
  clearKept("After an answer, this shows what each layer kept of the text that was read.");
  input.focus();
});
