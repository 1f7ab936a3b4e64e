// ---- fidelity, layer by layer too

const figureOf = (figures, key) => figures.find(figure => figure.key === key);

function fidelityPlot(part, column, shares) {
  const figure = figureOf(data.fidelityFigures, part.keys[column]);
  const rows = part.figures.rows.filter(row => row.method !== "full" && row.cells[column] && isShare(row.keep) === shares);
  const keeps = [...new Set(rows.map(row => row.keep))].sort((a, b) => budget(a) - budget(b));
  if (keeps.length < 2) return null;
  return plot({
    title: sentence(figure.title), name: `fidelity ${figure.title} by ${shares ? "share" : "tokens"}`, note: figure.better && `${figure.better} is better`,
    head: tableHead, rows: tableRows({ columns: part.figures.columns, rows }, column),
    draw: () => lineConfig({
      lines: [...new Set(rows.filter(isShown).map(row => row.method))].map(method => methodLine(method,
        keeps.flatMap(keep => rows.filter(row => row.method === method && row.keep === keep).map(row => ({ x: budget(keep), mean: row.cells[column].mean }))))),
      x: { title: shares ? "share of the cache kept" : "tokens kept", log: true, ticks: keeps.map(keep => [budget(keep), shares ? keep : whole(budget(keep))]) },
      y: { title: "", unit: figure.unit, zero: figure.better === "lower" },
    }),
  });
}

function layerPlot(part, field, title, unit, note) {
  const rows = part.layers.filter(row => row.method !== "full" && row[field].length);
  if (!rows.length) return null;
  const keeps = budgets(rows);
  return keeps.map(keep => plot({
    title: `${title}, ${kept(keep)}`, note, name: `${title} by layer ${keep}`, head: ["method", "kept", "layer", field],
    rows: rows.filter(row => row.keep === keep).flatMap(row => row[field].map((value, layer) => [row.method, row.keep, layer, value])),
    draw: () => {
      const config = lineConfig({
        lines: rows.filter(row => row.keep === keep && isShown(row)).map(row => ({ ...methodLine(row.method, row[field].map((value, x) => ({ x, mean: [value] }))), pointRadius: 0 })),
        x: { title: "layer", name: "layer" }, y: { title: "", unit, zero: field === "kvL1" },
      });
      return config;
    },
  }));
}

function fidelitySection(part, id) {
  const columns = part.keys.map((name, c) => {
    const figure = figureOf(data.fidelityFigures, name), format = units[figure.unit];
    return { title: figure.title, better: figure.better, value: row => row.cells[c]?.mean[0],
      cell: row => row.cells[c] && el("td", { title: samples(row.cells[c]) }, figureWith(format(row.cells[c].mean[0]), span(row.cells[c].mean, format))) };
  });
  const plots = part.keys.flatMap((_, c) => [fidelityPlot(part, c, true), fidelityPlot(part, c, false)]).filter(Boolean);
  return section(id, "Fidelity to the full cache",
    el("p.note", {}, `How far the compressed cache is from the full one, along the full cache's own answer. ${part.setting}; ${whole(part.samples)} samples. Small: 95% intervals by bootstrap over the samples. Underlined: best at its budget.`),
    el("div.card", {}, methodTable(() => part.figures.rows, columns, "Fidelity"),
      el("div.data", {}, csvLink("fidelity", tableHead, tableRows(part.figures)))),
    el("div.grid", {}, plots),
    el("details.card", {}, el("summary", {}, "Layer by layer"), el("div.grid", {},
      layerPlot(part, "kvL1", "Key-value L1 loss", "plain", "lower is better"),
      layerPlot(part, "attentionCosine", "Attention cosine similarity", "plain", "higher is better"))));
}

/// Which layers keep the same tokens: the reason why one choice can serve several.
function similaritySection(model) {
  const rows = model.fidelity.flatMap(part => part.layers).filter(row => row.similarity.length && row.method !== "full");
  if (!rows.length) return null;
  const keeps = budgets(rows);
  let chosen = keeps.at(-1);
  const adjacent = matrix => matrix.slice(1).reduce((sum, row, i) => sum + row[i], 0) / (matrix.length - 1);
  const maps = live(el("div.grid.tiny"), () => rows.filter(row => isShown(row) && row.keep === chosen).map(row => matrixFigure({
    title: key(row.method), name: `layer similarity ${row.method} ${row.keep}`, matrix: row.similarity,
    note: row.similarity.length > 1 ? `${kept(row.keep)}, neighbouring layers ${adjacent(row.similarity).toFixed(2)}` : kept(row.keep),
  })));
  return section("similarity", "Similarity of layers",
    el("p.note", {}, "Jaccard similarity of what every two layers keep (1: the same tokens), mean over the samples. Layer 0 is above and on the left."),
    el("div.choice", {}, withValue(choice("Cache", keeps.map(keep => [keep, kept(keep)]), value => { chosen = value; changed(); }), chosen),
      el("span.soft", {}, "0 ", el("span.ramp"), " 1")), maps);
}
