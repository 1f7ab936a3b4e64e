// ---- heat maps: needles as tables, layers as a matrix to walk through

const percentDepth = depth => `${Math.round(100 * depth)}%`;

/// Haystack lengths across, needle depths down; each cell says its score.
function needleMap(grid, map) {
  const cell = (score, d, l) => {
    const place = `${whole(grid.lengths[l])} tokens, needle at ${percentDepth(grid.depths[d])}`;
    if (score === null) return el("td.none", { title: `${place}: not measured` });
    return el(score > 0.55 ? "td.strong" : "td", { title: `${place}: ${units.points(score)}`, style: { "--tint": 100 * score } },
      Math.round(100 * score));
  };
  const head = ["length", "depth", "score"];
  const rows = grid.depths.flatMap((depth, d) => grid.lengths.map((length, l) => [length, depth, map.scores[d][l]]));
  const name = `${grid.variant} ${map.method} ${map.keep}`;
  return el("figure.card", { "data-plot": slug(`needles ${name}`) },
    el("figcaption", {}, el("h3", {}, key(map.method)),
      el("p", {}, `${map.method === "full" ? "full cache" : kept(map.keep)}, mean ${units.points(map.mean)}`)),
    el("div.scroll", { tabindex: 0 }, el("table.heat", { "aria-label": `Scores of ${map.method} by depth and length` },
      el("thead", {}, el("tr", {}, el("td", { "aria-hidden": "true", style: { background: "none" } }),
        grid.lengths.map(length => el("th", { scope: "col", title: `${whole(length)} tokens` }, kilo(length))))),
      el("tbody", {}, map.scores.map((scores, d) => el("tr", {}, el("th", { scope: "row" }, percentDepth(grid.depths[d])),
        scores.map((score, l) => cell(score, d, l))))))),
    el("div.axes", {}, el("span", {}, "depth of the needle ↓"), el("span", {}, "length in tokens →")),
    el("div.data", {}, csvLink(`needles ${name}`, head, rows)));
}

function needles(section) {
  if (!section.needles.length) return null;
  const keeps = budgets(section.needles.flatMap(grid => grid.maps));
  const chosen = { variant: 0, keep: keeps.at(-1) };
  const maps = el("div.grid");
  const fill = live(maps, () => {
    const grid = section.needles[chosen.variant];
    return grid.maps.filter(map => isShown(map) && (map.method === "full" || map.keep === chosen.keep)).map(map => needleMap(grid, map));
  });
  const set = (name, value) => { chosen[name] = value; changed(); };
  return el("section", {},
    el("h3", { style: { "margin-top": "1.5rem" } }, "Score by length of the haystack and depth of the needle"),
    el("div.choice", {},
      keeps.length > 1 ? withValue(choice("Cache", keeps.map(keep => [keep, kept(keep)]), value => set("keep", value)), chosen.keep) : null,
      section.needles.length > 1 ? choice("Variant", section.needles.map((grid, i) => [i, grid.variant]), value => set("variant", Number(value))) : null,
      el("span.soft", {}, "0 ", el("span.ramp"), " 100")),
    fill);
}
function withValue(label, value) {
  label.querySelector("select").value = value;
  return label;
}

/// A square matrix of 0 .. 1 on a canvas. Pointer and arrow keys read single cells out.
function matrixFigure({ title, note, name, matrix, rowName = "layer" }) {
  const size = matrix.length;
  const readout = el("p.readout.soft", { "aria-live": "polite" }, "point at a cell, or use the arrow keys");
  const canvas = el("canvas.matrix", { tabindex: 0, role: "img", width: size, height: size,
    "aria-label": `Matrix of ${size} by ${size} ${rowName}s. Arrow keys go from cell to cell.` });
  let at = [0, 0];
  const show = (row, column) => {
    at = [row, column];
    readout.textContent = `${rowName}s ${row} and ${column}: ${matrix[row][column].toFixed(2)}`;
  };
  canvas.addEventListener("mousemove", event => {
    const box = canvas.getBoundingClientRect();
    const cell = (offset, length) => Math.max(0, Math.min(size - 1, Math.floor(size * offset / length)));
    show(cell(event.clientY - box.top, box.height), cell(event.clientX - box.left, box.width));
  });
  canvas.addEventListener("keydown", event => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    show(...at.map((value, i) => Math.max(0, Math.min(size - 1, value + step[i]))));
  });
  const paint = () => {
    const rgb = colour => colour.match(/[0-9a-f]{2}/gi).map(hex => parseInt(hex, 16));
    const low = rgb(cssColour("--low")), high = rgb(cssColour("--high"));
    const context = canvas.getContext("2d"), image = context.createImageData(size, size);
    matrix.forEach((row, y) => row.forEach((value, x) => {
      for (let c = 0; c < 3; c++) image.data[4 * (y * size + x) + c] = low[c] + (high[c] - low[c]) * value;
      image.data[4 * (y * size + x) + 3] = 255;
    }));
    context.putImageData(image, 0, 0);
  };
  paint();
  const head = [rowName, ...matrix.map((_, i) => i)];
  return el("figure.card", { "data-plot": slug(name) }, el("figcaption", {}, el("h3", {}, title), el("p", {}, note)),
    canvas, readout, el("div.data", {}, csvLink(name, head, matrix.map((row, i) => [i, ...row]))));
}
