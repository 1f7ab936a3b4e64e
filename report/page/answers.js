// ---- benchmarks

const section = (id, title, ...children) => el("section", { id, "data-title": title }, el("h2", {}, title), ...children);

/// Score against budget in one column, for shares or for numbers of tokens.
function budgetPlot(part, column, shares) {
  const { groups, title: benchmark } = part;
  const rows = groups.rows.filter(row => row.cells[column]);
  const full = rows.find(row => row.method === "full")?.cells[column].mean[0];
  const mine = rows.filter(row => row.method !== "full" && isShare(row.keep) === shares);
  const keeps = [...new Set(mine.map(row => row.keep))].sort((a, b) => budget(a) - budget(b));
  if (keeps.length < 2) return null;
  const methods = [...new Set(mine.map(row => row.method))];
  return plot({
    title: sentence(groups.columns[column]), name: `${benchmark} ${groups.columns[column]} by ${shares ? "share" : "tokens"}`,
    note: part.groupTasks[column] === groups.columns[column] ? null : part.groupTasks.length > 1 && column < groups.columns.length - 1 ? part.groupTasks[column] : null,
    head: tableHead, rows: tableRows({ columns: groups.columns, rows: rows.filter(row => row.method === "full" || mine.includes(row)) }, column),
    draw: () => lineConfig({
      lines: methods.filter(method => view.shown.has(method)).map(method => methodLine(method,
        keeps.flatMap(keep => mine.filter(row => row.method === method && row.keep === keep).map(row => ({ x: budget(keep), mean: row.cells[column].mean }))))),
      x: { title: shares ? "share of the cache kept" : "tokens kept", log: true, ticks: keeps.map(keep => [budget(keep), shares ? keep : whole(budget(keep))]) },
      y: { title: part.scoreTitle, unit: "points", zero: false }, full: view.shown.has("full") ? full : null,
    }),
  });
}

/// The i-th of n budgets: the less is kept, the stronger.
function budgetColour(i, n) {
  const shades = dark.matches ? ["#2f6f75", "#43a0a8", "#74d3da", "#c9f3f6"] : ["#a5cfd2", "#53a0a6", "#0b6e75", "#053236"];
  return shades[Math.max(0, Math.min(3, n === 1 ? 2 : n > 3 ? Math.round(3 * i / (n - 1)) : i))];
}
const legend = { display: true, position: "bottom", labels: { boxWidth: 14, boxHeight: 8 } };
function withLegend(config) {
  if (config) config.options.plugins.legend = { ...legend, labels: { ...legend.labels, color: cssColour("--ink") } };
  return config;
}

/// How far the baseline is ahead of each method, with the paired interval.
function leadPlot(part) {
  const column = part.groups.columns.length - 1;
  const rows = part.groups.rows.filter(row => row.cells[column]?.lead);
  if (!rows.length) return null;
  const keeps = budgets(rows), methods = [...new Set(rows.map(row => row.method))];
  const shown = () => methods.filter(method => view.shown.has(method));
  return plot({
    title: `Difference from ${part.baseline}`, name: `${part.title} difference from ${part.baseline}`,
    note: `${part.groups.columns[column]}, in points; left of 0: ${part.baseline} is better. An interval that holds 0 decides nothing.`,
    height: Math.max(17, 5 + 0.8 * methods.length * keeps.length),
    head: ["method", "kept", "difference", "low", "high", "samples"],
    rows: rows.map(row => [row.method, row.keep, ...three(row.cells[column].lead), row.cells[column].n]),
    draw: () => shown().length ? withLegend(barConfig({
      categories: shown(), unit: "points", title: "points", horizontal: true, format: value => signed(units.points(value), value),
      series: keeps.map((keep, i) => ({
        label: kept(keep), colour: budgetColour(i, keeps.length),
        points: shown().map(method => { const row = rows.find(each => each.method === method && each.keep === keep); return row ? { mean: row.cells[column].lead } : null; }),
      })),
    })) : null,
  });
}

function questionPlots(part) {
  const { columns, rows } = part.questions;
  return budgets(rows).map(keep => plot({
    title: `By question, ${kept(keep)}`, name: `${part.title} by question ${keep}`, head: tableHead,
    rows: tableRows({ columns, rows: rows.filter(row => row.method === "full" || row.keep === keep) }),
    draw: () => lineConfig({
      lines: rows.filter(row => isShown(row) && (row.method === "full" || row.keep === keep)).map(row =>
        methodLine(row.method, row.cells.flatMap((cell, i) => cell ? [{ x: i + 1, mean: cell.mean }] : []))),
      x: { title: "question on the same document", ticks: columns.map((name, i) => [i + 1, String(i + 1)]), name: "question" },
      y: { title: part.scoreTitle, unit: "points", zero: false },
    }),
  }));
}

function answerSection(part, id) {
  const { groups } = part;
  const last = groups.columns.length - 1;
  const plots = groups.columns.map((_, c) => [budgetPlot(part, c, true), budgetPlot(part, c, false)].filter(Boolean));
  return section(id, part.title,
    el("p.note", {}, `${part.setting}; ${whole(part.samples)} questions, ${whole(part.promptTokens)} prompt tokens on average.`, part.note ? ` ${part.note}` : null),
    el("div.card", {}, answerTable(part), el("p.note", {}, explainTable(part)),
      el("div.data", {}, csvLink(`${part.title} ${part.setting} scores`, tableHead, tableRows(groups)))),
    foldedTable("By task", part.tasks, `${part.title} tasks`),
    foldedTable("Other scores", part.metrics, `${part.title} other scores`),
    foldedTable("By length", part.lengths, `${part.title} lengths`),
    foldedTable("By question", part.questions, `${part.title} questions`),
    el("div.grid.wide", {}, plots[last], leadPlot(part)),
    el("div.grid", {}, plots.slice(0, last), questionPlots(part)), needles(part));
}

/// One ablation: a line a budget, against the parameter.
function ablationPlot(ablation, context) {
  const values = [...new Set(ablation.lines.flatMap(line => line.points.map(point => point.value)))].sort((a, b) => a - b);
  return plot({
    title: `${context}: ${ablation.measure}`, name: `${ablation.parameter} ${ablation.base} ${context} ${ablation.measure}`,
    note: `${ablation.base}; ${ablation.better} is better`,
    head: ["method", "kept", ablation.parameter, "value", "low", "high"],
    rows: ablation.lines.flatMap(line => line.points.map(point => [ablation.base, line.keep, point.value, ...three(point.mean)])),
    draw: () => withLegend(lineConfig({
      lines: ablation.lines.map((line, i) => dataset(kept(line.keep), budgetColour(i, ablation.lines.length), line.points.map(point => ({ x: point.value, mean: point.mean })),
        { borderWidth: 2, pointStyle: shapes[i % shapes.length], pointRadius: 4 })),
      x: { title: ablation.parameterTitle, name: ablation.parameter, log: ablation.parameter === "chunk", ticks: values.map(value => [value, value === ablation.default ? `${value}\u00a0(default)` : String(value)]) },
      y: { title: "", unit: ablation.unit, zero: ablation.better === "lower" }, full: ablation.full,
    })),
  });
}
function ablationSection(model, parameter, title, note) {
  const found = [...model.answers.map(part => [part.title, part]), ...model.fidelity.map(part => ["Fidelity", part]), ...model.speed.map(part => ["Speed", part])]
    .flatMap(([context, part]) => part.ablations.filter(each => each.parameter === parameter).map(each => ablationPlot(each, context)));
  return found.length ? section(`ablation-${parameter}`, title, el("p.note", {}, note), el("div.grid", {}, found)) : null;
}
