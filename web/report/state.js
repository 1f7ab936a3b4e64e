// ---- the choices in view, what follows them, and how methods look

const data = JSON.parse(byId("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const view = { shown: new Set(), intervals: false, focus: null };

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

// Colours on light and on dark.
const palette = {
  full: ["#4d4a45", "#d0cdc6"], chunkkv: ["#c46500", "#f5a733"], snapkv: ["#1c63c4", "#7ab6ff"],
  h2o: ["#2a8440", "#74d488"], streamingllm: ["#8a3fb0", "#cb95f5"], tova: ["#c0215a", "#ff82ad"],
  rkv: ["#0a7b82", "#4fd3db"], pyramidkv: ["#5a48c8", "#a698ff"], keydiff: ["#7d6a00", "#dccb4c"],
  hybrid: ["#b3386b", "#f08db4"], knorm: ["#7a4a2b", "#d3a483"], random: ["#7d858c", "#98a1a9"],
};
const spare = [["#b0381c", "#ff9d84"], ["#3d6b12", "#a8d96b"], ["#a0278f", "#f38ce6"], ["#2f5d8a", "#93bde6"]];
const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 2]];
const shapes = ["circle", "rect", "triangle", "rectRot", "rectRounded"];

/// Colours, dash, shape and width of each method's line, by spec. Variants share their method's colour.
const styles = new Map();
function styleMethods(methods) {
  const nameOf = spec => spec.split(":")[0];
  const names = unique(methods.map(method => nameOf(method.spec)));
  const strangers = names.filter(name => !palette[name]);
  styles.clear();
  names.forEach((name, n) => {
    const colours = palette[name] ?? spare[strangers.indexOf(name) % spare.length];
    const variants = methods.filter(method => nameOf(method.spec) === name)
      .sort((a, b) => a.isAblationPoint - b.isAblationPoint);  // those that are compared get the clearer styles
    variants.forEach(({ spec }, variant) => styles.set(spec, {
      colours, variant, dash: spec === "full" ? [3, 3] : dashes[variant % dashes.length],
      shape: shapes[(n + variant) % shapes.length], width: spec === "chunkkv" ? 3 : 2,
    }));
  });
}
const isShown = row => view.shown.has(row.method);
const colourOf = spec => styles.get(spec).colours[dark.matches ? 1 : 0];
const faint = (colour, alpha) => colour + Math.round(255 * alpha).toString(16).padStart(2, "0");
const isFaded = spec => view.focus !== null && view.focus !== spec;

/// Bars have no dashes: variants of a method are lighter than it.
function barColour(spec) {
  const strength = [1, 0.6, 0.4, 0.25][Math.min(styles.get(spec).variant, 3)];
  return faint(colourOf(spec), isFaded(spec) ? 0.15 : strength);
}
/// Colour of the i-th of n budgets: the less is kept, the stronger.
function budgetColour(i, n) {
  const shades = dark.matches ? ["#2f6f75", "#43a0a8", "#74d3da", "#c9f3f6"] : ["#a5cfd2", "#53a0a6", "#0b6e75", "#053236"];
  if (n === 1) return shades[2];
  return shades[n > shades.length ? Math.round((shades.length - 1) * i / (n - 1)) : i];
}

function swatch(spec) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS(svg.namespaceURI, "path");
  const { dash, width } = styles.get(spec);
  svg.setAttribute("viewBox", "0 0 32 16");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, value] of Object.entries({ d: "M1 8H31", stroke: colourOf(spec), "stroke-width": width + 1,
    "stroke-dasharray": dash.join(" ") })) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}
const key = spec => el("span.key", {}, swatch(spec), el("code", {}, spec));

/// A labelled select; `options` are [value, text]. Null where there is nothing to choose.
function choice(label, options, chosen, onChange) {
  if (options.length < 2) return null;
  const select = el("select", { onchange: () => onChange(select.value) },
    options.map(([value, text]) => el("option", { value }, text)));
  select.value = chosen;
  return el("label", {}, label, select);
}
const budgetChoice = (keeps, chosen, onChange) =>
  choice("Cache", keeps.map(keep => [keep, kept(keep)]), chosen, onChange);

/// Budgets of rows, large ones first; the full cache has none of its own.
const budgets = rows => unique(rows.filter(row => row.method !== "full").map(row => row.keep));
/// The rows of one budget, and the full cache's.
const atBudget = (rows, keep) => rows.filter(row => row.method === "full" || row.keep === keep);
