const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
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
const number = n => n.toLocaleString("en");
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
const spans = data.pieces.map((piece, i) => {
  const span = document.createElement("span");
  span.dataset.i = i;
  const parts = piece === "" ? ["·"] : piece.split(/(\n)/);
  for (const part of parts) {
    if (part === "\n" || piece === "") {
      const sign = document.createElement("span");
      sign.className = "sign";
      sign.textContent = part === "\n" ? "↵" : "·";
      span.append(sign);
      if (part === "\n") span.append("\n");
    } else {
      span.append(part);
    }
  }
  return span;
});
$("text").append(...spans);

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
  $("count").textContent = `${who} keeps ${number(any)} of ${number(N)} tokens, in ${number(runs)} passages`;
}

// ---- pictures
function colours() {
  const style = getComputedStyle(document.documentElement);
  const rgb = name => style.getPropertyValue(name).trim().match(/[0-9a-f]{2}/gi).map(h => parseInt(h, 16));
  return { low: rgb("--page"), high: rgb("--kept"), accent: style.getPropertyValue("--accent") };
}
function pixels(canvas, width, height, value) {
  const { low, high } = colours();
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const v = value(x, y), at = 4 * (y * width + x);
    for (let c = 0; c < 3; c++) image.data[at + c] = low[c] + (high[c] - low[c]) * v;
    image.data[at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return context;
}
const rowHeight = Math.max(3, Math.min(8, Math.round(260 / L)));
function paintMap() {
  const width = Math.max(1, Math.min(N, Math.round($("map").clientWidth)));
  const rows = data.layers.map((_, l) => layerShare(l));
  const column = x => [Math.floor(x * N / width), Math.max(Math.floor((x + 1) * N / width), Math.floor(x * N / width) + 1)];
  const context = pixels($("map"), width, L * rowHeight, (x, y) => {
    const [from, to] = column(x), row = rows[Math.floor(y / rowHeight)];
    let sum = 0;
    for (let i = from; i < to; i++) sum += row[i];
    return sum / (to - from);
  });
  $("map").style.height = L * rowHeight + "px";
  context.fillStyle = colours().accent;
  if (view.layer !== ALL) for (const x of [0, width - 3]) context.fillRect(x, view.layer * rowHeight, 3, rowHeight);
  if (view.token !== null) context.fillRect(Math.floor(view.token * width / N), 0, 1, L * rowHeight);
}
function paintMatrix() {
  pixels($("matrix"), L, L, (x, y) => data.similarity[y * L + x]);
  $("matrix").style.aspectRatio = "1";
}

// ---- details of one token
function showToken(i) {
  view.token = i;
  const counts = kept.map(heads => heads.reduce((n, set) => n + set[i], 0) / heads.length);
  const mean = counts.reduce((a, b) => a + b, 0) / L;
  const layers = counts.filter(c => c > 0).length;
  const chunk = chunkOf(i);
  const text = document.createElement("strong");
  text.textContent = data.pieces[i] === "" ? "(part of a character)" : JSON.stringify(data.pieces[i]);
  $("token").replaceChildren(text, ` token ${number(i)}` + (isChunked && chunk !== null ? `, chunk ${number(chunk)}` : "") +
    (isProtected(i) ? ", always kept" : "") + `: kept in ${layers} of ${L} layers` +
    (manyHeads ? `, by ${percent(mean)} of layers and heads` : ""));
  $("token").className = "";
  $("cells").replaceChildren(...counts.map((c, l) => {
    const cell = document.createElement("i");
    cell.title = `layer ${data.layers[l].layer}: ${percent(c)}`;
    cell.style.setProperty("--h", 100 * c);
    if (l === view.layer) cell.className = "here";
    return cell;
  }));
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
  $("layer").value = view.layer + 1;
  $("layer").setAttribute("aria-valuetext", name);
  $("layer-name").textContent = name;
  $("head-label").hidden = !manyHeads;
  const unit = manyHeads && view.head === ALL ? "heads" : "";
  $("ramp-text").textContent = view.layer === ALL ? `kept in few to all layers${unit && " and " + unit}`
    : unit ? "kept by few to all heads" : "dropped, kept";
  $("text").classList.toggle("chunks", $("boundaries").checked);
  paintText(); paintMap();
  if (view.token !== null) showToken(view.token);
}
$("layer").max = L;
$("layer").addEventListener("input", e => { view.layer = Number(e.target.value) - 1; refresh(); });
$("head").append(new Option("all", ALL), ...Array.from({ length: data.kvHeads }, (_, h) => new Option(h, h)));
$("head").addEventListener("change", e => { view.head = Number(e.target.value); refresh(); });
$("boundaries").addEventListener("change", refresh);
$("text").addEventListener("mouseover", e => {
  const span = e.target.closest(".t");
  if (span) moveTo(Number(span.dataset.i), false);
});
$("text").addEventListener("keydown", e => {
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
$("map").addEventListener("click", e => {
  const [i, l] = cellAt($("map"), e, N, L);
  view.layer = l;
  refresh();
  moveTo(i, true);
});
$("matrix").addEventListener("mousemove", e => {
  const [a, b] = cellAt($("matrix"), e, L, L);
  $("pair").textContent = `layers ${data.layers[b].layer} and ${data.layers[a].layer}: ${percent(data.similarity[b * L + a])}`;
});
const redraw = () => { paintMap(); paintMatrix(); };
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

// ---- words
document.title = `What ${data.method} kept`;
$("method").textContent = data.method;
$("model").textContent = data.model;
for (const [name, value] of [["prompt tokens", number(N)], ["kept in each layer", number(data.kept)],
    [`of the prompt (asked for ${data.keep})`, percent(data.kept / N)], ["layers", number(L)], ["KV heads", number(data.kvHeads)],
    ["shared by neighbouring layers", percent(data.adjacent)]]) {
  const row = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
  dt.textContent = name; dd.textContent = value;
  row.append(dt, dd);
  $("figures").append(row);
}
const edges = [data.first && `the first ${number(data.first)}`, data.last && `the last ${number(data.last)}`].filter(Boolean);
$("window-text").textContent = edges.length ? `always kept: ${edges.join(" and ")} tokens` : "";
$("window-sign").hidden = $("window-text").hidden = !edges.length;
$("chunk-text").textContent = `kept or dropped together: ${length} tokens`;
$("chunk-sign").hidden = $("chunk-text").hidden = $("chunk-label").hidden = !isChunked;
$("map-axis").textContent = `layer ${data.layers[0].layer} above, ${data.layers[L - 1].layer} below`;
refresh(); paintMatrix();
