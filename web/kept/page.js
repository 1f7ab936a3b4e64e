const data = JSON.parse(byId("data").textContent);
const N = data.tokens, L = data.layers.length;
const ALL = -1;  // all layers, or all heads
const view = { layer: ALL, head: ALL, token: null };

// kept[layer][head] has a byte for each token: 1 where it is kept.
const kept = data.layers.map(({ heads }) => heads.map(runs => {
  const set = new Uint8Array(N);
  for (let r = 0, at = 0; r < runs.length; r += 2) {
    at += runs[r];
    set.fill(1, at, at + runs[r + 1]);
    at += runs[r + 1];
  }
  return set;
}));
const manyHeads = kept.some(heads => heads.length > 1);
const percent = x => (100 * x).toFixed(x > 0 && x < 0.0995 ? 1 : 0) + " %";

// For each token, the share of the heads in view that keep it in layer `l`.
function layerShare(l, head = view.head) {
  const heads = head === ALL || kept[l].length === 1 ? kept[l] : [kept[l][head]];
  const share = new Float32Array(N);
  for (const set of heads) for (let i = 0; i < N; i++) share[i] += set[i] / heads.length;
  return share;
}
function share() {
  if (view.layer !== ALL) return layerShare(view.layer);
  const mean = new Float32Array(N);
  for (let l = 0; l < L; l++) layerShare(l).forEach((s, i) => { mean[i] += s / L; });
  return mean;
}

const { begin, end, length } = data.chunks;
const isChunked = length > 1;
const isProtected = i => i < data.first || i >= N - data.last;
const startsChunk = i => isChunked && i <= end && i >= begin && ((i - begin) % length === 0 || i === end);
const chunkOf = i => i >= begin && i < end ? Math.floor((i - begin) / length) : null;

// ---- text
const sign = text => el("span.sign", {}, text);
const spans = data.pieces.map((piece, i) => el("span", { "data-i": i }, piece === "" ? sign("·")
  : piece.split(/(\n)/).map(part => part === "\n" ? [sign("↵"), "\n"] : part)));
byId("text").append(...spans);

function paintText() {
  const s = share();
  let any = 0, runs = 0;
  for (let i = 0; i < N; i++) {
    spans[i].className = "t" + (s[i] > 0.6 ? " most" : s[i] > 0 ? " some" : "") +
      (startsChunk(i) ? " start" : "") + (isProtected(i) ? " protected" : "") + (i === view.token ? " here" : "");
    spans[i].style.setProperty("--h", s[i] > 0 ? 12 + 88 * s[i] : 0);
    if (s[i] > 0) { any++; if (i === 0 || s[i - 1] === 0) runs++; }
  }
  const who = view.layer === ALL ? "Some layer" : `Layer ${data.layers[view.layer].layer}`;
  byId("count").textContent = `${who} keeps ${whole(any)} of ${whole(N)} tokens, in ${whole(runs)} passages`;
}

// ---- pictures
const rowHeight = Math.max(3, Math.min(8, Math.round(260 / L)));
function paintMap() {
  const width = Math.max(1, Math.min(N, Math.round(byId("map").clientWidth)));
  const rows = data.layers.map((_, l) => layerShare(l));
  const column = x => [Math.floor(x * N / width), Math.max(Math.floor((x + 1) * N / width), Math.floor(x * N / width) + 1)];
  paintPixels(byId("map"), width, L * rowHeight, "--page", "--kept", (x, y) => {
    const [from, to] = column(x), row = rows[Math.floor(y / rowHeight)];
    let sum = 0;
    for (let i = from; i < to; i++) sum += row[i];
    return sum / (to - from);
  });
  byId("map").style.height = L * rowHeight + "px";
  const context = byId("map").getContext("2d");
  context.fillStyle = cssColour("--accent");
  if (view.layer !== ALL) for (const x of [0, width - 3]) context.fillRect(x, view.layer * rowHeight, 3, rowHeight);
  if (view.token !== null) context.fillRect(Math.floor(view.token * width / N), 0, 1, L * rowHeight);
}
function paintMatrix() {
  paintPixels(byId("matrix"), L, L, "--page", "--kept", (x, y) => data.similarity[y * L + x]);
  byId("matrix").style.aspectRatio = "1";
}

// ---- details of one token
function showToken(i) {
  view.token = i;
  const counts = kept.map(heads => heads.reduce((n, set) => n + set[i], 0) / heads.length);
  const mean = counts.reduce((a, b) => a + b, 0) / L;
  const layers = counts.filter(c => c > 0).length;
  const chunk = chunkOf(i);
  const text = data.pieces[i] === "" ? "(part of a character)" : JSON.stringify(data.pieces[i]);
  byId("token").replaceChildren(el("strong", {}, text), ` token ${whole(i)}` +
    (isChunked && chunk !== null ? `, chunk ${whole(chunk)}` : "") + (isProtected(i) ? ", always kept" : "") +
    `: kept in ${layers} of ${L} layers` + (manyHeads ? `, by ${percent(mean)} of layers and heads` : ""));
  byId("token").className = "";
  byId("cells").replaceChildren(...counts.map((c, l) => el(l === view.layer ? "i.here" : "i",
    { title: `layer ${data.layers[l].layer}: ${percent(c)}`, style: { "--h": 100 * c } })));
}
function moveTo(i, scroll) {
  const before = view.token;
  showToken(Math.max(0, Math.min(N - 1, i)));
  if (before !== null) spans[before].classList.remove("here");
  spans[view.token].classList.add("here");
  if (scroll) spans[view.token].scrollIntoView({ block: "center" });
  paintMap();
}

// ---- controls
function refresh() {
  const name = view.layer === ALL ? "all layers" : String(data.layers[view.layer].layer);
  byId("layer").value = view.layer + 1;
  byId("layer").setAttribute("aria-valuetext", name);
  byId("layer-name").textContent = name;
  byId("head-label").hidden = !manyHeads;
  const unit = manyHeads && view.head === ALL ? "heads" : "";
  byId("ramp-text").textContent = view.layer === ALL ? `kept in few to all layers${unit && " and " + unit}`
    : unit ? "kept by few to all heads" : "dropped, kept";
  byId("text").classList.toggle("chunks", byId("boundaries").checked);
  paintText(); paintMap();
  if (view.token !== null) showToken(view.token);
}
byId("layer").max = L;
byId("layer").addEventListener("input", e => { view.layer = Number(e.target.value) - 1; refresh(); });
byId("head").append(new Option("all", ALL), ...Array.from({ length: data.kvHeads }, (_, h) => new Option(h, h)));
byId("head").addEventListener("change", e => { view.head = Number(e.target.value); refresh(); });
byId("boundaries").addEventListener("change", refresh);
byId("text").addEventListener("mouseover", e => {
  const span = e.target.closest(".t");
  if (span) moveTo(Number(span.dataset.i), false);
});
byId("text").addEventListener("keydown", e => {
  const at = view.token ?? 0, step = isChunked ? length : 10;
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - step, ArrowDown: at + step, Home: 0, End: N - 1 }[e.key];
  if (to === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
  e.preventDefault();
  moveTo(view.token === null ? 0 : to, true);
});
const cellAt = (canvas, e, columns, rows) => {
  const box = canvas.getBoundingClientRect();
  const inside = (x, n) => Math.max(0, Math.min(n - 1, Math.floor(x * n)));
  return [inside((e.clientX - box.left) / box.width, columns), inside((e.clientY - box.top) / box.height, rows)];
};
byId("map").addEventListener("click", e => {
  const [i, l] = cellAt(byId("map"), e, N, L);
  view.layer = l;
  refresh();
  moveTo(i, true);
});
byId("matrix").addEventListener("mousemove", e => {
  const [a, b] = cellAt(byId("matrix"), e, L, L);
  byId("pair").textContent = `layers ${data.layers[b].layer} and ${data.layers[a].layer}: ${percent(data.similarity[b * L + a])}`;
});
const redraw = () => { paintMap(); paintMatrix(); };
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

// ---- words
document.title = `What ${data.method} kept`;
byId("method").textContent = data.method;
byId("model").textContent = data.model;
byId("figures").append(...[["prompt tokens", whole(N)], ["kept in each layer", whole(data.kept)],
  [`of the prompt (asked for ${data.keep})`, percent(data.kept / N)], ["layers", whole(L)], ["KV heads", whole(data.kvHeads)],
  ["shared by neighbouring layers", percent(data.adjacent)],
].map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
const edges = [data.first && `the first ${whole(data.first)}`, data.last && `the last ${whole(data.last)}`].filter(Boolean);
byId("window-text").textContent = edges.length ? `always kept: ${edges.join(" and ")} tokens` : "";
byId("window-sign").hidden = byId("window-text").hidden = !edges.length;
byId("chunk-text").textContent = `kept or dropped together: ${length} tokens`;
byId("chunk-sign").hidden = byId("chunk-text").hidden = byId("chunk-label").hidden = !isChunked;
byId("map-axis").textContent = `layer ${data.layers[0].layer} above, ${data.layers[L - 1].layer} below`;
refresh(); paintMatrix();
