// ---- heat maps: needles as tables, layers as a matrix to walk through

const percentOf = depth => `${Math.round(100 * depth)}%`;

/// Haystack lengths across, needle depths down; each cell says its score.
function needleMap(grid, map) {
  const name = `needles ${grid.variant} ${map.method} ${map.keep}`;
  const cell = (score, d, l) => {
    const place = `${whole(grid.lengths[l])} tokens, needle at ${percentOf(grid.depths[d])}`;
    if (score === null) return el("td.none", { title: `${place}: not measured` });
    const attributes = { title: `${place}: ${units.points(score)}`, style: { "--tint": 100 * score } };
    return el(score > 0.55 ? "td.strong" : "td", attributes, Math.round(100 * score));
  };
  const lengths = grid.lengths.map(length => el("th", { scope: "col", title: `${whole(length)} tokens` }, kilo(length)));
  const depths = map.scores.map((scores, d) => el("tr", {},
    el("th", { scope: "row" }, percentOf(grid.depths[d])), scores.map((score, l) => cell(score, d, l))));
  const rows = grid.depths.flatMap((depth, d) => grid.lengths.map((length, l) => [length, depth, map.scores[d][l]]));
  return el("figure.card", { "data-plot": slug(name) },
    el("figcaption", {}, el("h3", {}, key(map.method)),
      el("p", {}, `${map.method === "full" ? "full cache" : kept(map.keep)}, mean ${units.points(map.mean)}`)),
    el("div.scroll", { tabindex: 0 },
      el("table.heat", { "aria-label": `Scores of ${map.method} by depth and length` },
        el("thead", {}, el("tr", {}, el("td.corner"), lengths)), el("tbody", {}, depths))),
    el("div.axes", {}, el("span", {}, "depth of the needle ↓"), el("span", {}, "length in tokens →")),
    el("div.data", {}, csvLink(name, ["length", "depth", "score"], rows)));
}

const ramp = (low, high) => el("span.soft", {}, `${low} `, el("span.ramp"), ` ${high}`);

function needles({ needles: grids }) {
  if (!grids.length) return null;
  const keeps = budgets(grids.flatMap(grid => grid.maps));
  let [keep, grid] = [keeps.at(-1), grids[0]];
  const maps = live(el("div.grid"), () => atBudget(grid.maps, keep).filter(isShown).map(map => needleMap(grid, map)));
  const variants = grids.map(({ variant }, i) => [i, variant]);
  return el("section", {},
    el("h3.apart", {}, "Score by length of the haystack and depth of the needle"),
    el("div.choice", {}, budgetChoice(keeps, keep, value => { keep = value; changed(); }),
      choice("Variant", variants, 0, value => { grid = grids[value]; changed(); }), ramp(0, 100)),
    maps);
}

/// A square matrix of layers on a canvas. Pointer and arrow keys select a cell, whose value is then shown as text.
function matrixFigure({ title, note, name, matrix }) {
  const size = matrix.length, last = size - 1, within = n => Math.max(0, Math.min(last, n));
  const readout = el("p.readout.soft", { "aria-live": "polite" }, "point at a cell, or use the arrow keys");
  const label = `Matrix of ${size} by ${size} layers. Arrow keys go from cell to cell.`;
  const canvas = el("canvas.matrix", { tabindex: 0, role: "img", "aria-label": label });
  let [row, column] = [0, 0];
  const show = (...at) => {
    [row, column] = at.map(within);
    readout.textContent = `layers ${row} and ${column}: ${matrix[row][column].toFixed(2)}`;
  };
  canvas.addEventListener("mousemove", event => {
    const box = canvas.getBoundingClientRect();
    const cell = (offset, length) => Math.floor(size * offset / length);
    show(cell(event.clientY - box.top, box.height), cell(event.clientX - box.left, box.width));
  });
  canvas.addEventListener("keydown", event => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    show(row + step[0], column + step[1]);
  });
  paintPixels(canvas, size, size, "--low", "--high", (x, y) => matrix[y][x]);
  const rows = matrix.map((values, i) => [i, ...values]);
  return el("figure.card", { "data-plot": slug(name) }, el("figcaption", {}, el("h3", {}, title), el("p", {}, note)),
    canvas, readout, el("div.data", {}, csvLink(name, ["layer", ...matrix.keys()], rows)));
}
