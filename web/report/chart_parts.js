// ---- what Chart.js does not have: error bars, a line for the full cache; and axes in our colours

Chart.defaults.animation = false;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.font.family = "system-ui, sans-serif";
Chart.defaults.plugins.legend.display = false;

/// Draws the intervals of points along the axis of values. `apart`: pixels between those of neighbouring lines.
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
      const aside = apart * (d - (chart.data.datasets.length - 1) / 2);
      context.strokeStyle = dataset.whiskerColour ?? dataset.borderColor;
      chart.getDatasetMeta(d).data.forEach((point, i) => {
        const [low, high] = dataset.spans?.[i]?.map(value => scale.getPixelForValue(value)) ?? [];
        if (low === undefined) return;
        const place = (along, across) => valueAxis === "x" ? [along, point.y + across] : [point.x + aside + across, along];
        context.beginPath();
        for (const [from, to] of [[[low, 0], [high, 0]], [[low, -2], [low, 2]], [[high, -2], [high, 2]]]) {
          context.moveTo(...place(...from));
          context.lineTo(...place(...to));
        }
        context.stroke();
      });
    });
    context.restore();
  },
};

/// Draws a dashed line across, at the full cache's value.
const fullLine = {
  id: "fullLine",
  beforeDatasetsDraw(chart, _, { value }) {
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
    context.fillText("full cache", right - 4, y - 4);
    context.restore();
  },
};
Chart.register(whiskers, fullLine);

function axis(title, { ticks, ...others } = {}) {
  const soft = cssColour("--soft");
  return {
    title: { display: Boolean(title), text: title, color: soft, font: { size: 12 } },
    grid: { color: cssColour("--line"), drawBorder: false },
    ticks: { color: soft, maxRotation: 0, ...ticks },
    ...others,
  };
}

/// Makes a function that writes an axis' ticks, all in the unit of the largest.
function tickText(unit, format = units[unit]) {
  const text = {
    ms: (value, most) => most >= 2000 ? `${+(value / 1000).toFixed(2)} s` : `${+value.toFixed(2)} ms`,
    bytes: (value, most) =>
      most >= 2 ** 31 ? `${+(value / 2 ** 30).toFixed(2)} GiB` : `${+(value / 2 ** 20).toFixed(1)} MiB`,
    plain: value => minus(String(+value.toFixed(4))),
  }[unit] ?? (value => format(value).replace(/\.0$/, ""));
  return (value, _, ticks) => text(value, ticks.at(-1).value);
}

/// Sets the steps of an axis of bytes to a power of two.
function binarySteps(scale) {
  const step = 2 ** Math.ceil(Math.log2((scale.max || 1) / 5));
  scale.max = Math.ceil(scale.max / step) * step;
  scale.options.ticks.stepSize = step;
}

function tooltip(format, others = {}, callbacks = {}) {
  const estimate = ({ dataset, dataIndex }) => [dataset.values[dataIndex], ...dataset.spans?.[dataIndex] ?? []];
  return {
    backgroundColor: cssColour("--card"), titleColor: cssColour("--ink"), bodyColor: cssColour("--ink"),
    borderColor: cssColour("--line"), borderWidth: 1, usePointStyle: true, boxPadding: 4, padding: 8, ...others,
    callbacks: { label: item => ` ${item.dataset.label}: ${withSpan(estimate(item), format)}`, ...callbacks },
  };
}

function withLegend(config) {
  if (!config) return null;
  const labels = { boxWidth: 14, boxHeight: 8, color: cssColour("--ink") };
  config.options.plugins.legend = { display: true, position: "bottom", labels };
  return config;
}
