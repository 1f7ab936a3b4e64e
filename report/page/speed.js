// ---- speed and memory

const loadOf = row => `${whole(row.input)} + ${whole(row.output)}`;
const speedHead = ["input", "output", "method", "kept", "figure", "median", "lowest", "highest", "repetitions"];
const speedRows = (rows, keys) => rows.flatMap(row => keys.filter(key => row.figures[key]).map(key =>
  [row.input, row.output, row.method, row.keep, key, ...row.figures[key], row.n]));

/// One figure by input and output, a bar a method.
function speedPlot(rows, loads, figure, keep) {
  const mine = rows.filter(row => row.figures[figure.key] && (row.method === "full" || row.keep === keep));
  if (!mine.length) return null;
  return plot({
    title: sentence(figure.title), name: `speed ${figure.title} ${keep}`, note: `${figure.better} is better; whiskers: lowest and highest repetition`,
    head: speedHead, rows: speedRows(mine, [figure.key]),
    draw: () => barConfig({
      categories: loads, unit: figure.unit, title: "",
      series: [...new Set(mine.filter(isShown).map(row => row.method))].map(method => ({
        label: method, colour: barColour(method),
        points: loads.map(load => { const row = mine.find(each => each.method === method && loadOf(each) === load); return row ? { mean: row.figures[figure.key] } : null; }),
      })),
    }),
  });
}

/// Where the time goes: reading, compressing, generating, one bar a method.
function timePlot(rows, load, keep) {
  const parts = ["reading", "compression", "answering"];
  const mine = rows.filter(row => loadOf(row) === load && (row.method === "full" || row.keep === keep) && parts.every(part => row.figures[part]));
  if (!mine.length) return null;
  const shown = () => mine.filter(isShown);
  return plot({
    title: `Where the time goes, ${load} tokens`, name: `where the time goes ${load} ${keep}`, height: 5 + 1.5 * mine.length, head: speedHead, rows: speedRows(mine, parts),
    draw: () => shown().length ? withLegend(barConfig({
      categories: shown().map(row => row.method), unit: "ms", title: "", stacked: true, horizontal: true,
      series: parts.map((part, i) => ({ label: figureOf(data.speedFigures, part).title, colour: cssColour(["--soft", "--warm", "--high"][i]), points: shown().map(row => ({ mean: row.figures[part] })) })),
    })) : null,
  });
}

function speedTable(part, load) {
  const figures = data.speedFigures.filter(figure => part.rows.some(row => row.figures[figure.key]));
  const rows = part.rows.filter(row => loadOf(row) === load);
  const full = rows.find(row => row.method === "full");
  const times = (row, { key, better }) => {
    const reference = full?.figures[key]?.[0], own = row.figures[key][0];
    if (row === full || !(reference > 0) || !(own > 0) || key === "compression") return null;
    const factor = own / reference, isClear = Math.abs(factor - 1) >= 0.03;
    const side = !isClear ? null : (factor > 1) === (better === "higher") ? "ahead" : "behind";
    return el("small", { class: side }, `${factor < 9.95 ? factor.toFixed(2) : factor.toFixed(0)}×`);
  };
  return methodTable(() => rows, figures.map(figure => ({
    title: figure.title,
    cell: row => {
      const own = row.figures[figure.key], format = units[figure.unit];
      return own && el("td", { title: `${row.n} repetitions: ${format(own[1])} to ${format(own[2])}` }, el("b", {}, format(own[0])), times(row, figure));
    },
  })), `Speed and memory, ${load} tokens`);
}

function speedSection(part, id) {
  const loads = [...new Set(part.rows.map(loadOf))], keeps = budgets(part.rows);
  const keys = data.speedFigures.map(figure => figure.key);
  let load = loads.at(-1), keep = keeps.at(-1);
  const table = live(el("div"), () => speedTable(part, load));
  const bars = el("div.grid"), times = el("div.grid");
  const fill = () => {
    bars.replaceChildren(...["total", "first_token", "per_token", "throughput", "cache", "peak"]
      .map(key => speedPlot(part.rows, loads, figureOf(data.speedFigures, key), keep)).filter(Boolean));
    times.replaceChildren(...loads.map(each => timePlot(part.rows, each, keep)).filter(Boolean));
  };
  fill();
  return section(id, "Speed and memory", el("p.note", {}, `By tokens read + tokens generated. ${part.machine}`),
    el("div.choice", {}, loads.length > 1 ? withValue(choice("Tokens", loads.map(each => [each, each]), each => { load = each; changed(); }), load) : null),
    el("div.card", {}, table,
      el("p.note", {}, "Medians over the repetitions. Small: how many times the full cache's figure. Compression: observing, choosing and moving rows."),
      el("div.data", {}, csvLink("speed", speedHead, speedRows(part.rows, keys)))),
    el("div.choice", {}, keeps.length > 1 ? withValue(choice("Cache", keeps.map(each => [each, kept(each)]), each => { keep = each; fill(); drawPlots({ onlyNew: true }); }), keep) : null),
    bars, times);
}
