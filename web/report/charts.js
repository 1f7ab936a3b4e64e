// ---- plots: each with its data as CSV and as a table

let plots = [];

/// Makes a figure: caption, canvas, CSV and table. `draw` returns Chart.js's configuration, or null where nothing is
/// shown; it is called again whenever the choices change.
function plot({ title, name = title, note, head, rows, height, draw }) {
  const label = `${title}. The table and the CSV below hold the same data.`;
  const canvas = el("canvas", { role: "img", "aria-label": label });
  const figure = el("figure.card", { "data-plot": slug(name) },
    el("figcaption", {}, el("h3", {}, title), note ? el("p", {}, note) : null),
    el("div.plot", height ? { style: { height: `${height}rem` } } : {}, canvas), dataFooter(name, head, rows));
  plots.push({ figure, canvas, draw, chart: null });
  return figure;
}

/// Draws all plots again, or those that are new or within view; forgets those that are no longer in the page.
function drawPlots({ onlyNew = false, onlyVisible = false } = {}) {
  plots.filter(({ figure }) => !figure.isConnected).forEach(({ chart }) => chart?.destroy());
  plots = plots.filter(({ figure }) => figure.isConnected);
  for (const each of plots) {
    const box = each.figure.getBoundingClientRect();
    if (onlyNew && each.chart || onlyVisible && (box.bottom < 0 || box.top > innerHeight)) continue;
    each.chart?.destroy();
    const config = each.draw();
    each.chart = config && new Chart(each.canvas, config);
  }
}

const spanOf = estimate => estimate.length > 1 ? estimate.slice(1) : null;

/// A line of a chart. `points`: [{x, mean}], where mean is an estimate.
const line = (label, colour, points, others = {}) => ({
  label, borderColor: colour, backgroundColor: colour, borderWidth: 2, pointRadius: 3.5, pointHoverRadius: 5, clip: 6,
  data: points.map(({ x, mean }) => ({ x, y: mean[0] })), values: points.map(({ mean }) => mean[0]),
  spans: points.map(({ mean }) => spanOf(mean)), ...others,
});

/// A method's line. While one method is pointed at, all others are faint.
function methodLine(spec, points, others = {}) {
  const { dash, shape, width } = styles.get(spec);
  return line(spec, isFaded(spec) ? faint(colourOf(spec), 0.15) : colourOf(spec), points, {
    borderDash: dash, borderWidth: width, pointStyle: shape, order: spec === view.focus || spec === "chunkkv" ? 0 : 1,
    ...others,
  });
}

/// The x axis. `ticks` are [value, text]; without them every tick shows its number.
function numberAxis({ title, ticks, log = false }) {
  if (!ticks) return axis(title, { type: "linear", ticks: { callback: value => whole(value) } });
  const values = ticks.map(([value]) => value), low = Math.min(...values), high = Math.max(...values);
  const [min, max] = log ? [low / (high / low) ** 0.05, high * (high / low) ** 0.05]
    : [low - (high - low) * 0.04, high + (high - low) * 0.04];
  return axis(title, {
    type: log ? "logarithmic" : "linear", min, max,
    afterBuildTicks: scale => { scale.ticks = values.map(value => ({ value })); },
    ticks: { autoSkip: values.length > 6, callback: value => ticks.find(([own]) => own === value)?.[1] },
  });
}

/// The configuration of a chart of lines. `y` has unit, title and `fromZero`; `full` is the full cache's value.
function lineConfig({ lines, x, y, full = null }) {
  if (!lines.length) return null;
  const spans = view.intervals ? lines.flatMap(each => each.spans.flat()).filter(Number.isFinite) : [];
  const values = lines.flatMap(each => each.values).concat(spans, full ?? []);
  const least = Math.min(...values), most = Math.max(...values), isFlat = least === most && least >= 0;
  const isBounded = y.unit === "points" && most <= 1 && (isFlat || most > 0.9);
  const title = items => {
    const at = items[0]?.parsed.x;
    return x.ticks?.find(([value]) => value === at)?.[1] ?? `${x.title} ${at}`;
  };
  return {
    type: "line",
    data: { datasets: lines },
    options: {
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: numberAxis(x),
        y: axis(y.title, {
          beginAtZero: Boolean(y.fromZero), suggestedMin: least, suggestedMax: most, grace: "6%",
          ...(isFlat ? { min: 0 } : {}), ...(isBounded ? { max: 1 } : {}), ticks: { callback: tickText(y.unit), maxTicksLimit: 7 },
        }),
      },
      plugins: {
        tooltip: tooltip(units[y.unit], { itemSort: (a, b) => b.parsed.y - a.parsed.y }, { title }),
        fullLine: { value: full }, whiskers: { valueAxis: "y", apart: 3 },
      },
    },
  };
}

/// The configuration of a chart of grouped bars. `series`: [{label, colour, points}], where points has one estimate for
/// each category, null where there is none.
function barConfig({ categories, series, title, unit, stacked = false, horizontal = false, format = units[unit] }) {
  if (!categories.length || !series.length) return null;
  const datasets = series.map(({ label, colour, points }) => ({
    label, backgroundColor: colour, maxBarThickness: 30, whiskerColour: cssColour("--ink"),
    data: points.map(point => point?.[0] ?? null), values: points.map(point => point?.[0]),
    spans: stacked ? null : points.map(point => point && spanOf(point)),
  }));
  const values = axis(title, {
    stacked, beginAtZero: true, grace: "6%", ...(unit === "bytes" ? { afterDataLimits: binarySteps } : {}),
    ...(unit === "points" ? { suggestedMin: -0.01, suggestedMax: 0.01 } : {}),  // differences may all be 0
    ticks: { callback: tickText(unit, format), maxTicksLimit: 6 },
  });
  const names = axis("", { stacked, grid: { display: false }, ticks: { autoSkip: false, color: cssColour("--ink") } });
  const [along, across] = horizontal ? ["x", "y"] : ["y", "x"];
  return {
    type: "bar",
    data: { labels: categories, datasets },
    options: {
      indexAxis: across,
      interaction: { mode: "index", axis: across, intersect: false },
      scales: { [along]: values, [across]: names },
      plugins: { tooltip: tooltip(format), whiskers: { always: true, valueAxis: along } },
    },
  };
}

/// Plots of one column of a table against the budget, a line for each method: one for shares and one for numbers of
/// tokens, where there are at least two of them.
function budgetPlots({ table, column, title, name, note, y, withFull = false }) {
  const full = table.rows.find(row => row.method === "full")?.cells[column];
  return [true, false].flatMap(shares => {
    const rows = table.rows.filter(row => row.method !== "full" && row.cells[column] && isShare(row.keep) === shares);
    const keeps = budgets(rows).reverse();
    if (keeps.length < 2) return [];
    const points = method => rows.filter(row => row.method === method)
      .map(row => ({ x: parseFloat(row.keep), mean: row.cells[column].mean })).reverse();
    const x = {
      title: shares ? "share of the cache kept" : "tokens kept", log: true,
      ticks: keeps.map(keep => [parseFloat(keep), shares ? keep : whole(Number(keep))]),
    };
    return [plot({
      title, name: `${name} by ${shares ? "share" : "tokens"}`, note, head: tableHead,
      rows: tableRows({ ...table, rows: table.rows.filter(row => row.method === "full" || rows.includes(row)) }, column),
      draw: () => lineConfig({
        lines: unique(rows.filter(isShown).map(row => row.method)).map(method => methodLine(method, points(method))),
        x, y, full: withFull && full && view.shown.has("full") ? full.mean[0] : null,
      }),
    })];
  });
}
