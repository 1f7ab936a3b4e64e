// ---- one place for what went wrong

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}
