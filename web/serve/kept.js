// ---- what was kept: the text that a slot has read, with what one layer keeps

const keptView = { slot: null, layer: 0, shown: null, fetch: null, isNew: true };
const isNarrow = matchMedia("(max-width: 60rem)");

function paintText({ pieces, kept }) {
  const parts = [];
  let at = 0;
  const join = (from, to) => pieces.slice(from, to).join("");
  for (const [from, to] of kept) {
    if (from > at) parts.push(join(at, from));
    parts.push(el("mark", {}, join(from, to)));
    at = to;
  }
  parts.push(join(at, pieces.length));
  const place = byId("text").scrollTop;  // the text is the same in every layer, so the reader stays where they are
  byId("text").replaceChildren(...parts);
  byId("text").scrollTop = place;
}

/// The whole text from left to right: the more of it is kept at a place, the stronger the colour.
function drawStrip() {
  if (!keptView.shown) return;
  const canvas = byId("strip"), { pieces, kept } = keptView.shown, n = pieces.length;
  const isKept = new Uint8Array(n);
  for (const [from, to] of kept) isKept.fill(1, from, to);
  const width = canvas.width = Math.max(1, canvas.clientWidth), context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  for (let x = 0; x < width; x++) {
    const from = Math.floor(x * n / width), to = Math.max(from + 1, Math.floor((x + 1) * n / width));
    const share = isKept.subarray(from, to).reduce((sum, one) => sum + one, 0) / (to - from);
    context.globalAlpha = share > 0 ? 0.15 + 0.85 * share : 0;  // a lone token is still seen
    context.fillRect(x, 0, 1, 1);
  }
}

function paintKept(shown) {
  keptView.shown = shown;
  const n = shown.kept.reduce((sum, [from, to]) => sum + to - from, 0), runs = shown.kept.length;
  byId("count").textContent = `Layer ${shown.layer} keeps ${whole(n)} of ${whole(shown.pieces.length)} tokens, ` +
    `in ${whole(runs)} ${runs === 1 ? "passage" : "passages"}`;
  byId("layer").max = shown.n_layer - 1;
  byId("layer").disabled = false;
  paintText(shown);
  drawStrip();
}

function clearKept(words) {
  keptView.shown = null;
  byId("count").textContent = words;
  byId("text").replaceChildren();
  byId("strip").width = 1;
  byId("layer").disabled = true;
}

async function loadKept() {
  const { slot, layer } = keptView;
  byId("layer").value = layer;
  byId("layer-name").textContent = layer;
  if (slot === null || byId("kept").hidden) return;
  keptView.fetch?.abort();  // only the newest request counts
  keptView.fetch = new AbortController();
  try {
    const response = await request(`slots/${slot}/kept?layer=${layer}`, { signal: keptView.fetch.signal });
    paintKept(await response.json());
  } catch (error) {
    if (error.name === "AbortError") return;
    clearKept(error.status === 404 ? "The server no longer holds this conversation's cache." : error.message);
  }
}

/// Shows what the slot of the newest answer keeps. The first time, the panel opens by itself where there is room.
function keptIn(slot) {
  keptView.slot = slot;
  if (keptView.isNew && !isNarrow.matches) showPanel(true);
  else loadKept();
}

function toLayer(layer) {
  if (byId("layer").disabled || layer < 0 || layer > Number(byId("layer").max)) return;
  keptView.layer = layer;
  loadKept();
}

function showPanel(isOpen) {
  keptView.isNew = false;
  byId("kept").hidden = !isOpen;
  byId("show-kept").setAttribute("aria-expanded", isOpen);
  coverPage();
  if (isOpen) loadKept();
}
/// On a narrow screen the panel covers the rest, which the keyboard must not reach then.
function coverPage() {
  const covers = isNarrow.matches && !byId("kept").hidden;
  for (const element of document.querySelectorAll("body > :not(main), .chat")) element.inert = covers;
}
function openKept(isOpen) {
  showPanel(isOpen);
  (isOpen ? byId("close-kept") : byId("show-kept")).focus();
}
isNarrow.addEventListener("change", coverPage);

byId("show-kept").addEventListener("click", () => openKept(byId("kept").hidden));
byId("close-kept").addEventListener("click", () => openKept(false));
byId("layer").addEventListener("input", event => toLayer(Number(event.target.value)));
byId("text").addEventListener("keydown", event => {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  toLayer(keptView.layer + step);
});
byId("strip").addEventListener("click", event => {
  const text = byId("text");
  text.scrollTop = event.offsetX / byId("strip").clientWidth * text.scrollHeight - text.clientHeight / 2;
});
addEventListener("resize", drawStrip);
