// ---- comparison tables

/// Groups the rows of a table by budget, [title, rows]; the full cache comes first, without a title.
function byBudget(rows) {
  const shown = rows.filter(isShown), compressed = shown.filter(row => row.method !== "full");
  const full = shown.filter(row => row.method === "full");
  const parts = budgets(shown).map(keep => [kept(keep), compressed.filter(row => row.keep === keep)]);
  return full.length ? [["", full], ...parts] : parts;
}

/// Whether a row has the best value of its column among `rows`.
function isBestOf(rows, { value, better }) {
  const known = better && value ? rows.map(value).filter(Number.isFinite) : [];
  const best = better === "higher" ? Math.max(...known) : Math.min(...known);
  return row => known.length > 1 && value(row) === best;
}

/// A table of methods by budget. `columns`: [{title, note, cell: row => td, value: row => number, better}]; the best
/// value of a budget is underlined.
function methodTable(rows, columns, label) {
  const cell = (row, column, isBest) => {
    const td = column.cell(row) ?? el("td", {}, el("span.soft", {}, "–"));
    if (isBest(row)) td.classList.add("best");
    return td;
  };
  const part = ([name, own]) => {
    const best = columns.map(column => isBestOf(own, column));
    const title = el("tr.budget", {}, el("th", { scope: "rowgroup", colspan: columns.length + 1 }, name));
    return el("tbody", {}, name ? title : null, own.map(row => el("tr", {},
      el("th", { scope: "row" }, key(row.method)), columns.map((column, c) => cell(row, column, best[c])))));
  };
  const head = el("thead", {}, el("tr", {}, el("td"),
    columns.map(({ title, note }) => el("th", { scope: "col", title: note }, title))));
  return el("div.scroll", { tabindex: 0, role: "region", "aria-label": label },
    live(el("table.scores"), () => [head, byBudget(rows).map(part)]));
}

const figureWith = (text, small) => [el("b", {}, text), small ? el("small", {}, small) : null];
const samples = cell => `${cell.n} samples${cell.partial ? ", some are missing" : ""}`;
const scoreOf = cell => units.points(cell.mean[0]) + (cell.partial ? "*" : "");
const percentSpan = share => span(share, value => Math.round(100 * value));

/// The column of an average of scores, with its interval.
const averageColumn = (table, c) => ({
  title: table.columns[c], better: "higher", value: row => row.cells[c]?.mean[0],
  cell: row => row.cells[c] && el("td", { title: samples(row.cells[c]) },
    figureWith(scoreOf(row.cells[c]), span(row.cells[c].mean, units.points))),
});
/// A column of scores, with the share of the full cache's score beside them and as the shade behind them.
const scoreColumn = (table, c, note) => ({
  title: table.columns[c], note, better: "higher", value: row => row.cells[c]?.mean[0],
  cell: row => {
    const own = row.cells[c];
    if (!own) return null;
    const tint = own.share ? 40 * Math.max(0, Math.min(1, 2 * own.share[0] - 1)) ** 2 : 0;
    return el("td", { title: samples(own), style: { "--tint": tint.toFixed(1) } },
      figureWith(scoreOf(own), own.share && units.percent(own.share[0])));
  },
});

/// A share with a bar in the method's colour.
const meter = (method, share, title) => el("td.meter", { title },
  figureWith(units.percent(share[0]), percentSpan(share)),
  el("i", { style: { "--share": Math.min(1, share[0]), background: colourOf(method) } }));
const shareColumn = c => ({
  title: "share of the full cache's",
  cell: row => row.method === "full" ? el("td") : row.cells[c]?.share && meter(row.method, row.cells[c].share),
});
/// A column of differences from the baseline. Those whose interval holds 0 decide nothing, and are not coloured.
const leadColumn = (c, baseline) => ({
  title: `difference from ${baseline}`,
  cell: row => {
    if (row.method === "full" || row.method === baseline) return el("td");
    const lead = row.cells[c]?.lead, format = value => signed(units.points(value), value);
    if (!lead) return null;
    const [low, high] = lead.slice(1).map(value => Math.round(1000 * value));  // rounded as they are shown
    const side = low > 0 ? "ahead" : high < 0 ? "behind" : null;
    return el("td", {}, el("b", { class: side }, format(lead[0])), el("small", {}, span(lead, format)));
  },
});

/// A table of answers: the average, its share and its difference from the baseline, then the task types.
function answerTable({ title, groups, groupTasks, baseline }) {
  const last = groups.columns.length - 1;
  return methodTable(groups.rows, [
    averageColumn(groups, last), shareColumn(last), ...(baseline ? [leadColumn(last, baseline)] : []),
    ...groups.columns.slice(0, last).map((_, c) => scoreColumn(groups, c, groupTasks[c])),
  ], `${title}: scores`);
}
function explainTable({ groups }) {
  const isPartial = groups.rows.some(row => row.cells.some(cell => cell?.partial));
  return "Scores out of 100. Small: 95% intervals by bootstrap, resampled by sample with all methods on the same draw; " +
    "in task types the share of the full cache's score. Underlined: best at its budget. Coloured differences: their " +
    "interval does not hold 0." + (isPartial ? " * some samples are missing in this row; shares and differences are of " +
    "the samples that both have." : "");
}

const tableHead = ["method", "kept", "column", "value", "low", "high", "share_of_full", "share_low", "share_high",
  "difference_from_baseline", "difference_low", "difference_high", "samples", "samples_missing"];
/// All figures of a table, one line for each cell; `only`: those of one column.
function tableRows({ columns, rows }, only = null) {
  const wanted = [...columns.keys()].filter(c => only === null || c === only);
  return rows.flatMap(({ method, keep, cells }) => wanted.filter(c => cells[c]).map(c => {
    const { mean, share, lead, n, partial } = cells[c];
    const figures = [mean, share, lead].flatMap(valueLowHigh);
    return [method, keep, columns[c], ...figures, n, partial ? "yes" : "no"];
  }));
}

/// A table that is folded behind its summary, for details.
function foldedTable(summary, table, name) {
  if (!table.rows.length) return null;
  return el("details.card", {}, el("summary", {}, summary),
    methodTable(table.rows, table.columns.map((_, c) => scoreColumn(table, c)), summary),
    el("div.data", {}, csvLink(name, tableHead, tableRows(table))));
}
