// ---- comparison tables

/// The rows of a table by budget, the full cache alone in front.
function byBudget(rows) {
  const shown = rows.filter(isShown);
  const full = shown.filter(row => row.method === "full");
  const others = budgets(shown).map(keep => [kept(keep), shown.filter(row => row.method !== "full" && row.keep === keep)]);
  return [...(full.length ? [["", full]] : []), ...others].filter(([, own]) => own.length);
}

/// A table of methods by budget. `columns`: [{title, note, cell: row => td, value: row => number, better}]; the best
/// value of a budget is underlined.
function methodTable(rows, columns, label) {
  const isBest = (own, { value, better }) => {
    const known = better && value ? own.map(value).filter(Number.isFinite) : [];
    if (known.length < 2) return () => false;
    const best = better === "higher" ? Math.max(...known) : Math.min(...known);
    return row => value(row) === best;
  };
  const cell = (row, column, best) => {
    const td = column.cell(row) ?? el("td", {}, el("span.soft", {}, "–"));
    if (best(row)) td.classList.add("best");
    return td;
  };
  const body = () => byBudget(rows()).map(([name, own]) => {
    const best = columns.map(column => isBest(own, column));
    return el("tbody", {},
      name ? el("tr.budget", {}, el("th", { scope: "rowgroup", colspan: columns.length + 1 }, name)) : null,
      own.map(row => el("tr", {}, el("th", { scope: "row" }, key(row.method)), columns.map((column, c) => cell(row, column, best[c])))));
  });
  const head = el("thead", {}, el("tr", {}, el("td"), columns.map(({ title, note }) => el("th", { scope: "col", title: note }, title))));
  return el("div.scroll", { tabindex: 0, role: "region", "aria-label": label }, live(el("table.scores"), () => [head, body()]));
}

const figureWith = (text, small) => [el("b", {}, text), small ? el("small", {}, small) : null];
const samples = cell => `${cell.n} samples${cell.partial ? ", some are missing" : ""}`;

/// Scores of one column, with the share of the full cache's beside it, or the interval.
function scoreColumn(table, c, { note, interval = false } = {}) {
  return {
    title: table.columns[c], note, better: "higher", value: row => row.cells[c]?.mean[0],
    cell: row => {
      const own = row.cells[c];
      if (!own) return null;
      const tint = own.share && !interval ? Math.max(0, Math.min(1, (own.share[0] - 0.5) / 0.5)) ** 2 * 40 : 0;
      return el("td", { title: samples(own), style: { "--tint": tint.toFixed(1) } }, figureWith(units.points(own.mean[0]) + (own.partial ? "*" : ""),
        interval ? span(own.mean, units.points) : own.share && units.percent(own.share[0])));
    },
  };
}
const shareColumn = c => ({
  title: "share of the full cache's",
  cell: row => row.method === "full" ? el("td") : row.cells[c]?.share &&
    el("td.meter", {}, figureWith(units.percent(row.cells[c].share[0]), span(row.cells[c].share, share => Math.round(100 * share))),
      el("i", { style: { "--share": Math.min(1, row.cells[c].share[0]), background: colourOf(row.method) } })),
});
/// Differences whose interval holds 0 decide nothing, and stay without colour.
const leadColumn = (c, baseline) => ({
  title: `difference from ${baseline}`,
  cell: row => {
    const lead = row.cells[c]?.lead, format = value => signed(units.points(value), value);
    if (row.method === "full" || row.method === baseline) return el("td");
    const side = !lead || lead.length < 2 ? "" : lead[1] > 0 ? "ahead" : lead[2] < 0 ? "behind" : "";
    return lead && el("td", {}, el("b", { class: side || null }, format(lead[0])), el("small", {}, span(lead, format)));
  },
});

/// The average with all that is known of it, then the task types.
function answerTable(part) {
  const last = part.groups.columns.length - 1;
  return methodTable(() => part.groups.rows, [
    scoreColumn(part.groups, last, { interval: true }), shareColumn(last),
    ...(part.baseline ? [leadColumn(last, part.baseline)] : []),
    ...part.groups.columns.slice(0, last).map((_, c) => scoreColumn(part.groups, c, { note: part.groupTasks[c] })),
  ], `${part.title}: scores`);
}

const tableHead = ["method", "kept", "column", "value", "low", "high", "share_of_full", "share_low", "share_high",
  "difference_from_baseline", "difference_low", "difference_high", "samples", "samples_missing"];
const three = estimate => estimate ? [estimate[0], estimate[1] ?? null, estimate[2] ?? null] : [null, null, null];
/// All of a table's figures, one line a cell; `only`: one column.
function tableRows(table, only = null) {
  return table.rows.flatMap(row => row.cells.flatMap((cell, c) => !cell || (only !== null && c !== only) ? [] :
    [[row.method, row.keep, table.columns[c], ...three(cell.mean), ...three(cell.share), ...three(cell.lead), cell.n, cell.partial ? "yes" : "no"]]));
}

const explainTable = part => [
  "Scores out of 100. Small: 95% intervals by bootstrap, resampled by sample with all methods on the same draw; in task types the share of the full cache's score. ",
  "Underlined: best at its budget. Coloured differences: their interval does not hold 0.",
  part.groups.rows.some(row => row.cells.some(cell => cell?.partial)) ?
    " * some samples are missing in this row; shares and differences are of the samples that both have." : "",
].join("");

/// A table behind a summary, for what not everyone looks at.
function foldedTable(summary, table, name) {
  if (!table.rows.length) return null;
  return el("details.card", {}, el("summary", {}, summary),
    methodTable(() => table.rows, table.columns.map((_, c) => scoreColumn(table, c)), summary),
    el("div.data", {}, csvLink(name, tableHead, tableRows(table))));
}
