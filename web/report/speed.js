// ---- speed and memory

const loadOf = row => `${whole(row.input)} + ${whole(row.output)}`;
const speedHead = ["input", "output", "method", "kept", "figure", "median", "lowest", "highest", "repetitions"];
const speedRows = (rows, keys) => rows.flatMap(row => keys.filter(key => row.figures[key]).map(key =>
  [row.input, row.output, row.method, row.keep, key, ...row.figures[key], row.n]));

/// The plot of one figure by input and output lengths, a bar for each method.
function speedPlot(all, loads, keep, { key, title, unit, better }) {
  const rows = atBudget(all, keep).filter(row => row.figures[key]);
  if (!rows.length) return null;
  const bar = (method, load) => rows.find(row => row.method === method && loadOf(row) === load)?.figures[key] ?? null;
  return plot({
    title: sentence(title), name: `speed ${title} ${keep}`, head: speedHead, rows: speedRows(rows, [key]),
    note: `${better} is better; whiskers: lowest and highest repetition`,
    draw: () => barConfig({
      categories: loads, unit,
      series: unique(rows.filter(isShown).map(row => row.method)).map(method =>
        ({ label: method, colour: barColour(method), points: loads.map(load => bar(method, load)) })),
    }),
  });
}

/// The plot of the times for reading, compressing and generating, a stacked bar for each method.
function timePlot(all, load, keep) {
  const parts = ["reading", "compression", "answering"], colours = ["--soft", "--warm", "--high"];
  const rows = atBudget(all, keep).filter(row => loadOf(row) === load && parts.every(part => row.figures[part]));
  if (!rows.length) return null;
  return plot({
    title: `Where the time goes, ${load} tokens`, name: `where the time goes ${load} ${keep}`,
    height: 5 + 1.5 * rows.length, head: speedHead, rows: speedRows(rows, parts),
    draw: () => {
      const shown = rows.filter(isShown);
      const series = parts.map((part, i) => ({
        label: figureOf(data.speedFigures, part).title, colour: cssColour(colours[i]),
        points: shown.map(row => row.figures[part]),
      }));
      return withLegend(barConfig({
        categories: shown.map(row => row.method), series, unit: "ms", stacked: true, horizontal: true,
      }));
    },
  });
}

/// How many times the full cache's figure; a difference below 3% is not coloured.
function times(figure, own, reference) {
  if (!(reference > 0) || !(own > 0)) return null;
  const factor = own / reference, isNews = Math.abs(factor - 1) >= 0.03;
  const side = !isNews ? null : (factor > 1) === (figure.better === "higher") ? "ahead" : "behind";
  return el("small", { class: side }, `${factor.toFixed(factor < 9.95 ? 2 : 0)}×`);
}

function speedTable(part, load) {
  const rows = part.rows.filter(row => loadOf(row) === load), full = rows.find(row => row.method === "full");
  const figures = data.speedFigures.filter(({ key }) => rows.some(row => row.figures[key]));
  return methodTable(rows, figures.map(figure => ({
    title: figure.title,
    cell: row => {
      const own = row.figures[figure.key], format = units[figure.unit];
      if (!own) return null;
      const isCompared = row !== full && figure.key !== "compression";
      return el("td", { title: `${row.n} repetitions: ${format(own[1])} to ${format(own[2])}` }, el("b", {}, format(own[0])),
        isCompared ? times(figure, own[0], full?.figures[figure.key]?.[0]) : null);
    },
  })), `Speed and memory, ${load} tokens`);
}

function speedSection(part, id) {
  const loads = unique(part.rows.map(loadOf)), keeps = budgets(part.rows);
  let [load, keep] = [loads.at(-1), keeps.at(-1)];
  const table = live(el("div"), () => speedTable(part, load));
  const bars = el("div.grid"), parts = el("div.grid");
  const fill = () => {
    const figures = ["total", "first_token", "per_token", "throughput", "cache", "peak", "gpu"]
      .map(key => figureOf(data.speedFigures, key));
    bars.replaceChildren(...figures.map(figure => speedPlot(part.rows, loads, keep, figure)).filter(Boolean));
    parts.replaceChildren(...loads.map(each => timePlot(part.rows, each, keep)).filter(Boolean));
  };
  fill();
  return section(id, "Speed and memory", el("p.note", {}, `By tokens read + tokens generated. ${part.machine}`),
    el("div.choice", {}, choice("Tokens", loads.map(each => [each, each]), load, value => { load = value; changed(); })),
    el("div.card", {}, table,
      el("p.note", {}, "Medians over the repetitions. Small: how many times the full cache's figure. Compression: " +
        "observing, choosing and moving rows."),
      el("div.data", {}, csvLink("speed", speedHead, speedRows(part.rows, data.speedFigures.map(({ key }) => key))))),
    el("div.choice", {}, budgetChoice(keeps, keep, value => { keep = value; fill(); drawPlots({ onlyNew: true }); })),
    bars, parts);
}
