// ---- what is chosen, and who wants to know

const data = JSON.parse(byId("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const view = { model: data.models[0], shown: new Set(), intervals: false, focus: null };

/// Called whenever methods are shown or hidden, and when colours change.
let watchers = [];
function changed() {
  watchers.forEach(watcher => watcher());
  drawPlots();
}

/// An element whose children follow the choices.
function live(element, children) {
  const fill = () => element.replaceChildren(...[children()].flat(Infinity).filter(Boolean));
  watchers.push(fill);
  fill();
  return element;
}

// Colours on light and on dark, told apart by their lightness too.
const palette = {
  full: ["#4d4a45", "#d0cdc6"], chunkkv: ["#c46500", "#f5a733"], snapkv: ["#1c63c4", "#7ab6ff"],
  h2o: ["#2a8440", "#74d488"], streamingllm: ["#8a3fb0", "#cb95f5"], tova: ["#c0215a", "#ff82ad"],
  rkv: ["#0a7b82", "#4fd3db"], pyramidkv: ["#5a48c8", "#a698ff"], keydiff: ["#7d6a00", "#dccb4c"],
  knorm: ["#7a4a2b", "#d3a483"], random: ["#7d858c", "#98a1a9"],
};
const spare = [["#b0381c", "#ff9d84"], ["#3d6b12", "#a8d96b"], ["#a0278f", "#f38ce6"], ["#2f5d8a", "#93bde6"]];
const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 2]];
const shapes = ["circle", "rect", "triangle", "rectRot", "rectRounded"];

/// Colour, dash and shape of a method's line: variants share their method's colour.
const styles = new Map();
function styleMethods(model) {
  const names = [...new Set(model.methods.map(method => method.spec.split(":")[0]))];
  styles.clear();
  for (const name of names) {
    const pair = palette[name] ?? spare[names.filter(other => !palette[other]).indexOf(name) % spare.length];
    const variants = model.methods.filter(method => method.spec.split(":")[0] === name)
      .sort((a, b) => a.isAblationPoint - b.isAblationPoint);  // those that are compared get the clearer styles
    variants.forEach(({ spec }, i) => styles.set(spec, {
      pair, dash: spec === "full" ? [3, 3] : dashes[i % dashes.length],
      shape: shapes[(names.indexOf(name) + i) % shapes.length], variant: i, width: spec === "chunkkv" ? 3 : 2,
    }));
  }
}
const isShown = row => view.shown.has(row.method);
const colourOf = spec => styles.get(spec).pair[dark.matches ? 1 : 0];
const cssColour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const faint = (colour, alpha) => colour + Math.round(255 * alpha).toString(16).padStart(2, "0");

function swatch(spec) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 32 16");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(svg.namespaceURI, "path");
  const { pair, dash, width } = styles.get(spec);
  line.setAttribute("d", "M1 8H31");
  line.setAttribute("stroke", pair[dark.matches ? 1 : 0]);
  line.setAttribute("stroke-width", width + 1);
  line.setAttribute("stroke-dasharray", dash.join(" "));
  svg.append(line);
  return svg;
}
const key = spec => el("span.key", {}, swatch(spec), el("code", {}, spec));

/// Bars have no dashes: variants of a method are lighter than it.
function barColour(spec) {
  const { variant } = styles.get(spec);
  return faint(colourOf(spec), view.focus && view.focus !== spec ? 0.15 : [1, 0.6, 0.4, 0.25][Math.min(variant, 3)]);
}

/// A labelled select; `options` are [value, text].
function choice(label, options, onChange) {
  const select = el("select", { onchange: () => onChange(select.value) }, options.map(([value, text]) => el("option", { value }, text)));
  return el("label", {}, label, select);
}

/// Budgets of rows, large ones first; the full cache has none of its own.
function budgets(rows) {
  return [...new Set(rows.filter(row => row.method !== "full").map(row => row.keep))];
}
