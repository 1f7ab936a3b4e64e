// ---- benchmarks and ablations

const section = (id, title, ...children) => el("section", { id, "data-title": title }, el("h2", {}, title), ...children);

/// Plots of one column of the scores against the budget; a column of a task type has a note of its tasks.
function scorePlots({ title, scoreTitle, groups, groupTasks }, column) {
  const name = groups.columns[column], isType = column < groups.columns.length - 1;
  return budgetPlots({
    table: groups, column, title: sentence(name), name: `${title} ${name}`,
    note: isType && groupTasks[column] !== name ? groupTasks[column] : null,
    y: { title: scoreTitle, unit: "points" }, withFull: true,
  });
}

/// The plot of the differences between methods and the baseline, with paired intervals.
function leadPlot({ title, baseline, groups }) {
  const column = groups.columns.length - 1, rows = groups.rows.filter(row => row.cells[column]?.lead);
  if (!rows.length) return null;
  const keeps = budgets(rows), methods = unique(rows.map(row => row.method));
  const lead = (method, keep) => rows.find(row => row.method === method && row.keep === keep)?.cells[column].lead;
  return plot({
    title: `Difference from ${baseline}`, name: `${title} difference from ${baseline}`,
    note: `${groups.columns[column]}, in points; left of 0: ${baseline} is better. An interval that holds 0 decides nothing.`,
    height: Math.max(17, 5 + 0.8 * methods.length * keeps.length),
    head: ["method", "kept", "difference", "low", "high", "samples"],
    rows: rows.map(row => [row.method, row.keep, ...valueLowHigh(row.cells[column].lead), row.cells[column].n]),
    draw: () => {
      const categories = methods.filter(method => view.shown.has(method));
      const series = keeps.map((keep, i) => ({
        label: kept(keep), colour: budgetColour(i, keeps.length),
        points: categories.map(method => lead(method, keep) ?? null),
      }));
      return withLegend(barConfig({
        categories, series, unit: "points", title: "points", horizontal: true,
        format: value => signed(units.points(value), value),
      }));
    },
  });
}

/// Plots of the scores against the number of the question on the same document, one for each budget.
function questionPlots({ title, scoreTitle, questions: { columns, rows } }) {
  const points = row => row.cells.flatMap((cell, i) => cell ? [{ x: i, mean: cell.mean }] : []);
  const ticks = columns.map((name, i) => [i, name.replace("question ", "")]);
  return budgets(rows).map(keep => {
    const own = atBudget(rows, keep);
    return plot({
      title: `By question, ${kept(keep)}`, name: `${title} by question ${keep}`, head: tableHead,
      rows: tableRows({ columns, rows: own }),
      draw: () => lineConfig({
        lines: own.filter(isShown).map(row => methodLine(row.method, points(row))),
        x: { title: "question on the same document", ticks }, y: { title: scoreTitle, unit: "points" },
      }),
    });
  });
}

function answerSection(part, id) {
  const { title, setting, note, groups } = part;
  const size = `${whole(part.samples)} questions, ${whole(part.promptTokens)} prompt tokens on average.`;
  const last = groups.columns.length - 1;
  return section(id, title, el("p.note", {}, `${setting}; ${size} ${note}`),
    el("div.card", {}, answerTable(part), el("p.note", {}, explainTable(part)),
      el("div.data", {}, csvLink(`${title} ${setting} scores`, tableHead, tableRows(groups)))),
    foldedTable("By task", part.tasks, `${title} tasks`),
    foldedTable("Other scores", part.metrics, `${title} other scores`),
    foldedTable("By length", part.lengths, `${title} lengths`),
    foldedTable("By question", part.questions, `${title} questions`),
    el("div.grid.wide", {}, scorePlots(part, last), leadPlot(part)),
    el("div.grid", {}, groups.columns.slice(0, last).map((_, c) => scorePlots(part, c)), questionPlots(part)),
    needles(part));
}

/// The plot of one ablation: a line for each budget, against the parameter.
function ablationPlot({ parameter, parameterTitle, base, measure, unit, better, lines, full, default: normal }, context) {
  const values = unique(lines.flatMap(each => each.points.map(point => point.value))).sort((a, b) => a - b);
  const ticks = values.map(value => [value, value === normal ? `${value}\u00a0(default)` : String(value)]);
  return plot({
    title: `${context}: ${measure}`, name: `${parameter} ${base} ${context} ${measure}`,
    note: `${base}; ${better} is better`, head: ["method", "kept", parameter, "value", "low", "high"],
    rows: lines.flatMap(({ keep, points }) =>
      points.map(({ value, mean }) => [base, keep, value, ...valueLowHigh(mean)])),
    draw: () => withLegend(lineConfig({
      lines: lines.map(({ keep, points }, i) => line(kept(keep), budgetColour(i, lines.length),
        points.map(({ value, mean }) => ({ x: value, mean })), { pointStyle: shapes[i % shapes.length] })),
      x: { title: parameterTitle, log: parameter === "chunk", ticks }, y: { unit, fromZero: better === "lower" }, full,
    })),
  });
}
function ablationSection(model, parameter, title, note) {
  const parts = [...model.answers.map(part => [part.title, part]), ...model.fidelity.map(part => ["Fidelity", part]),
    ...model.speed.map(part => ["Speed", part])];
  const found = parts.flatMap(([context, { ablations }]) =>
    ablations.filter(each => each.parameter === parameter).map(each => ablationPlot(each, context)));
  if (!found.length) return null;
  return section(`ablation-${parameter}`, title, el("p.note", {}, note), el("div.grid", {}, found));
}
