// ---- fidelity, also layer by layer

const figureOf = (figures, key) => figures.find(figure => figure.key === key);

function fidelityTable({ keys, figures }) {
  return methodTable(figures.rows, keys.map((name, c) => {
    const { title, unit, better } = figureOf(data.fidelityFigures, name), format = units[unit];
    return {
      title, better, value: row => row.cells[c]?.mean[0],
      cell: row => row.cells[c] && el("td", { title: samples(row.cells[c]) },
        figureWith(format(row.cells[c].mean[0]), span(row.cells[c].mean, format))),
    };
  }), "Fidelity");
}

function fidelityPlots({ keys, figures }, column) {
  const { title, unit, better } = figureOf(data.fidelityFigures, keys[column]);
  return budgetPlots({
    table: figures, column, title: sentence(title), name: `fidelity ${title}`, note: better && `${better} is better`,
    y: { unit, fromZero: better === "lower" },
  });
}

function layerPlots({ layers }, field, title, better) {
  const rows = layers.filter(row => row.method !== "full" && row[field].length);
  const points = row => row[field].map((value, layer) => ({ x: layer, mean: [value] }));
  return budgets(rows).map(keep => {
    const own = atBudget(rows, keep);
    return plot({
      title: `${title}, ${kept(keep)}`, name: `${title} by layer ${keep}`, note: `${better} is better`,
      head: ["method", "kept", "layer", field],
      rows: own.flatMap(row => row[field].map((value, layer) => [row.method, row.keep, layer, value])),
      draw: () => lineConfig({
        lines: own.filter(isShown).map(row => methodLine(row.method, points(row), { pointRadius: 0 })),
        x: { title: "layer" }, y: { unit: "plain", fromZero: better === "lower" },
      }),
    });
  });
}

function fidelitySection(part, id) {
  const about = "How far the compressed cache is from the full one, along the full cache's own answer. " +
    `${part.setting}; ${whole(part.samples)} samples. Small: 95% intervals by bootstrap over the samples. ` +
    "Underlined: best at its budget.";
  const byLayer = [...layerPlots(part, "kvL1", "Key-value L1 loss", "lower"),
    ...layerPlots(part, "attentionCosine", "Attention cosine similarity", "higher")];
  return section(id, "Fidelity to the full cache", el("p.note", {}, about),
    el("div.card", {}, fidelityTable(part),
      el("div.data", {}, csvLink("fidelity", tableHead, tableRows(part.figures)))),
    el("div.grid", {}, part.keys.map((_, c) => fidelityPlots(part, c))),
    byLayer.length ? el("details.card", {}, el("summary", {}, "Layer by layer"), el("div.grid", {}, byLayer)) : null);
}

/// Shows which layers keep the same tokens: the reason why one choice can serve several.
function similaritySection(model) {
  const rows = model.fidelity.flatMap(part => part.layers).filter(row => row.similarity.length > 1 && row.method !== "full");
  if (!rows.length) return null;
  const keeps = budgets(rows);
  let keep = keeps.at(-1);
  const neighbours = matrix => matrix.slice(1).reduce((sum, row, i) => sum + row[i], 0) / (matrix.length - 1);
  const maps = live(el("div.grid.tiny"), () => atBudget(rows, keep).filter(isShown).map(row => matrixFigure({
    title: key(row.method), name: `layer similarity ${row.method} ${row.keep}`, matrix: row.similarity,
    note: `${kept(row.keep)}, neighbouring layers ${neighbours(row.similarity).toFixed(2)}`,
  })));
  return section("similarity", "Similarity of layers",
    el("p.note", {}, "Jaccard similarity of what every two layers keep (1: the same tokens), mean over the samples. " +
      "Layer 0 is above and on the left."),
    el("div.choice", {}, budgetChoice(keeps, keep, value => { keep = value; changed(); }), ramp(0, 1)), maps);
}
