// ---- plots: Chart.js with our colours, error bars, and the data beside every plot

Chart.defaults.animation = false;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.font.family = "system-ui, sans-serif";
Chart.defaults.plugins.legend.display = false;

/// Draws the intervals of points that have low and high, along the axis of values. Those of lines stand side by side.
const whiskers = {
  id: "whiskers",
  afterDatasetsDraw(chart, _, { always, valueAxis, apart = 0 }) {
    if (!always && !view.intervals) return;
    const context = chart.ctx, scale = chart.scales[valueAxis], { left, right, top, bottom } = chart.chartArea;
    context.save();
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    context.lineWidth = 1.25;
    chart.data.datasets.forEach((dataset, d) => {
      if (!chart.isDatasetVisible(d) || !dataset.spans) return;
      context.strokeStyle = dataset.whiskerColour ?? dataset.borderColor;
      const aside = apart * (d - (chart.data.datasets.length - 1) / 2);
      chart.getDatasetMeta(d).data.forEach((point, i) => {
        const span = dataset.spans[i];
        if (!span) return;
        const [from, to] = span.map(value => scale.getPixelForValue(value));
        const line = (...ends) => ends.forEach(([along, across], j) =>
          context[j ? "lineTo" : "moveTo"](...(valueAxis === "x" ? [along, point.y + across] : [point.x + aside + across, along])));
        context.beginPath();
        line([from, 0], [to, 0]);
        line([from, -2], [from, 2]);
        line([to, -2], [to, 2]);
        context.stroke();
      });
    });
    context.restore();
  },
};
/// A dashed line across at the full cache's value.
const rule = {
  id: "rule",
  beforeDatasetsDraw(chart, _, { value, label }) {
    if (value === undefined || value === null) return;
    const context = chart.ctx, { left, right } = chart.chartArea, y = chart.scales.y.getPixelForValue(value);
    context.save();
    context.strokeStyle = context.fillStyle = cssColour("--soft");
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(right, y);
    context.stroke();
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(label, right - 4, y - 4);
    context.restore();
  },
};
Chart.register(whiskers, rule);

function axis(title, extra = {}) {
  const soft = cssColour("--soft"), { ticks, ...others } = extra;
  return {
    title: { display: Boolean(title), text: title, color: soft, font: { size: 12 } },
    grid: { color: cssColour("--line"), drawBorder: false },
    ticks: { color: soft, maxRotation: 0, ...ticks },
    ...others,
  };
}

function tooltip(format) {
  return {
    backgroundColor: cssColour("--card"), titleColor: cssColour("--ink"), bodyColor: cssColour("--ink"),
    borderColor: cssColour("--line"), borderWidth: 1, usePointStyle: true, boxPadding: 4, padding: 8,
    itemSort: (a, b) => b.dataset.values[b.dataIndex] - a.dataset.values[a.dataIndex],
    callbacks: {
      label: item => {
        const span = item.dataset.spans?.[item.dataIndex];
        const value = item.dataset.values[item.dataIndex];
        return ` ${item.dataset.label}: ${withSpan(span ? [value, ...span] : [value], format)}`;
      },
    },
  };
}

/// One figure: caption, canvas, CSV and table. `draw` gives Chart.js's configuration, or null where nothing is
/// shown; it is asked again whenever the choices change.
function plot({ title, note, head, rows, draw, height, name = title }) {
  const canvas = el("canvas", { role: "img", "aria-label": `${title}. The table and the CSV below hold the same data.` });
  const figure = el("figure.card", { "data-plot": slug(name) },
    el("figcaption", {}, el("h3", {}, title), note ? el("p", {}, note) : null),
    el("div.plot", height ? { style: { height: `${height}rem` } } : {}, canvas), dataFooter(name, head, rows));
  plots.push({ figure, canvas, draw, chart: null });
  return figure;
}
let plots = [];

/// Draws all plots again, or those that are new or within view; forgets those that are no longer in the page.
function drawPlots({ onlyNew = false, onlyVisible = false } = {}) {
  plots.filter(({ figure }) => !figure.isConnected).forEach(({ chart }) => chart?.destroy());
  plots = plots.filter(({ figure }) => figure.isConnected);
  for (const plot of plots) {
    if (onlyNew && plot.chart) continue;
    const box = plot.figure.getBoundingClientRect();
    if (onlyVisible && (box.bottom < 0 || box.top > innerHeight)) continue;
    plot.chart?.destroy();
    const config = plot.draw();
    plot.chart = config && new Chart(plot.canvas, config);
  }
}

/// Values of points as datasets need them. `points`: [{x, mean: [value, low, high]}].
const dataset = (label, colour, points, others = {}) => ({
  label, borderColor: colour, backgroundColor: colour,
  data: points.map(point => ({ x: point.x, y: point.mean[0] })), values: points.map(point => point.mean[0]),
  spans: points.map(point => point.mean.length > 1 ? point.mean.slice(1) : null), clip: 6, ...others,
});

/// A method's line; others step back while one method is pointed at.
function methodLine(spec, points) {
  const { dash, shape, width } = styles.get(spec);
  const colour = view.focus && view.focus !== spec ? faint(colourOf(spec), 0.15) : colourOf(spec);
  return dataset(spec, colour, points, {
    borderDash: dash, borderWidth: width, pointStyle: shape, pointRadius: 3.5, pointHoverRadius: 5,
    order: view.focus === spec || spec === "chunkkv" ? 0 : 1,
  });
}

/// Lines over numbers. `x` has title, ticks ([value, text]) and log; `y` title and unit; `full` the full cache's value.
function lineConfig({ lines, x, y, full }) {
  if (!lines.length) return null;
  const format = units[y.unit], values = x.ticks?.map(([value]) => value) ?? [];
  const spans = view.intervals ? lines.flatMap(line => line.spans.flat()).filter(Number.isFinite) : [];
  const shown = lines.flatMap(line => line.values).concat(spans, full ?? []), most = Math.max(...shown);
  const low = Math.min(...values), high = Math.max(...values), room = x.log ? (high / low) ** 0.05 : (high - low) * 0.04;
  return {
    type: "line",
    data: { datasets: lines },
    options: {
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: axis(x.title, {
          type: x.log ? "logarithmic" : "linear",
          ...(values.length > 1 ? { min: x.log ? low / room : low - room, max: x.log ? high * room : high + room } : {}),
          ...(x.ticks ? { afterBuildTicks: scale => scale.ticks = values.map(value => ({ value })) } : {}),
          ticks: {
            autoSkip: values.length > 6,
            callback: value => x.ticks ? x.ticks.find(([own]) => own === value)?.[1] : whole(value),
          },
        }),
        y: axis(y.title, {
          beginAtZero: y.zero !== false, suggestedMin: Math.min(...shown), suggestedMax: most, grace: "6%",
          ...(y.unit === "points" && most > 0.9 && most <= 1 ? { max: 1 } : {}),
          ticks: { callback: tickText(y.unit), maxTicksLimit: 7 },
        }),
      },
      plugins: {
        tooltip: { ...tooltip(format), callbacks: { ...tooltip(format).callbacks,
          title: items => items.length ? `${x.ticks?.find(([value]) => value === items[0].parsed.x)?.[1] ?? `${x.name ?? x.title} ${items[0].parsed.x}`}` : "" } },
        rule: { value: full, label: "full cache" },
        whiskers: { valueAxis: "y", apart: 3 },
      },
    },
  };
}

/// Texts of an axis' ticks, all in the unit of the largest.
function tickText(unit, format = units[unit]) {
  const text = {
    ms: (value, most) => most >= 2000 ? `${+(value / 1000).toFixed(2)} s` : `${+value.toFixed(2)} ms`,
    bytes: (value, most) => most >= 2 ** 31 ? `${+(value / 2 ** 30).toFixed(2)} GiB` : `${+(value / 2 ** 20).toFixed(1)} MiB`,
    plain: value => minus(String(+value.toFixed(4))),
  }[unit] ?? (value => format(value).replace(/\.0$/, ""));
  return (value, _, ticks) => text(value, ticks.at(-1).value);
}
/// Round numbers of bytes are powers of two.
function binarySteps(scale) {
  const step = 2 ** Math.ceil(Math.log2((scale.max || 1) / 5));
  scale.max = Math.ceil(scale.max / step) * step;
  scale.options.ticks.stepSize = step;
}

/// Bars in groups. `series`: [{label, colour, points: [{mean}]}], one point a category, null where there is none.
function barConfig({ categories, series, title, unit, stacked = false, horizontal = false, always = true, format = units[unit] }) {
  if (!series.length) return null;
  const valueAxis = horizontal ? "x" : "y";
  const datasets = series.map(({ label, colour, points, stack }) => ({
    label, stack, backgroundColor: colour, borderWidth: 0, maxBarThickness: 30, whiskerColour: cssColour("--ink"),
    data: points.map(point => point?.mean[0] ?? null), values: points.map(point => point?.mean[0]),
    spans: stacked ? null : points.map(point => point?.mean.length > 1 ? point.mean.slice(1) : null),
  }));
  const values = axis(title, { stacked, beginAtZero: true, grace: "6%", ...(unit === "bytes" ? { afterDataLimits: binarySteps } : {}),
    ticks: { callback: tickText(unit, format), maxTicksLimit: 6 } });
  const names = axis("", { stacked, grid: { display: false }, ticks: { autoSkip: false, color: cssColour("--ink") } });
  return {
    type: "bar",
    data: { labels: categories, datasets },
    options: {
      indexAxis: horizontal ? "y" : "x",
      interaction: { mode: "index", axis: horizontal ? "y" : "x", intersect: false },
      scales: horizontal ? { x: values, y: names } : { x: names, y: values },
      plugins: { tooltip: { ...tooltip(format), itemSort: undefined }, whiskers: { always, valueAxis } },
    },
  };
}
