// ---- figures of an answer: tokens, memory, times

const figure = (name, value, ...more) =>
  value === null ? null : el("div", {}, el("dt", {}, name), el("dd", {}, value, ...more));
const known = (value, format) => typeof value === "number" ? format(value) : null;

function memoryFigure({ bytes: used, full_bytes: full }) {
  if (!known(used, bytes)) return null;
  if (!full) return figure("memory", bytes(used));
  const share = used / full, percent = `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;
  return figure("memory", `${bytes(used)} of ${bytes(full)} (${percent})`,
    el("div.share", { "aria-hidden": "true", style: { "--share": Math.min(1, share) } }));
}

/// `first` is the time from the request to the first piece of the answer, in milliseconds.
function answerFigures({ kv = {}, timings = {} }, first) {
  const list = el("dl.figures", {},
    figure("tokens read", known(kv.read, whole)), figure("reused", known(kv.reused, whole)),
    figure("kept", known(kv.kept, whole)), figure("cells", known(kv.cells, whole)), memoryFigure(kv),
    figure("a token", known(timings.predicted_per_token_ms, milliseconds)),
    figure("first token", known(first, milliseconds)),
    figure("method", kv.method ? [kv.method, kv.method !== "full" && kv.keep].filter(Boolean).join(", ") : null));
  const reason = kv.reread_reason ? el("p.soft.reread", {}, `Read again: ${kv.reread_reason}`) : null;
  return [list.children.length ? list : null, reason];
}
