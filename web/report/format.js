// ---- numbers, CSV

const unique = values => [...new Set(values)];

/// Replaces the hyphen of a negative number by a minus sign; zero gets none.
const minus = text => /[1-9]/.test(text) ? text.replace(/^-/, "−") : text.replace(/^-/, "");
const sentence = text => text.charAt(0).toUpperCase() + text.slice(1);
const signed = (text, value) => (value > 0 && /[1-9]/.test(text) ? "+" : "") + minus(text);
const tidy = n => Number.isInteger(n) ? whole(n) : minus(n.toPrecision(3));

const units = {
  points: value => minus((100 * value).toFixed(1)),
  plain: value => minus(value.toFixed(Math.abs(value) < 0.1 ? 4 : 3)),
  ms: milliseconds,
  bytes,
  rate: value => value < 100 ? value.toFixed(1) : whole(value),
  percent: value => `${Math.round(100 * value)}%`,
};
/// Estimates are [value] or [value, low, high].
const span = (estimate, format) => estimate.length > 1 ? `${format(estimate[1])} to ${format(estimate[2])}` : "";
const withSpan = (estimate, format) =>
  format(estimate[0]) + (estimate.length > 1 ? ` (${span(estimate, format)})` : "");
const valueLowHigh = estimate => estimate ? [estimate[0], estimate[1] ?? null, estimate[2] ?? null] : [null, null, null];

const isShare = keep => keep.endsWith("%");
/// A budget in words.
const kept = keep => isShare(keep) ? `${keep} kept` : `${whole(Number(keep))} tokens kept`;
const kilo = n => n >= 1000 ? `${Number((n / 1000).toFixed(1))}k` : String(n);
const slug = text => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

function csv(head, rows) {
  const quoted = text => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  return [head, ...rows].map(row => row.map(value => quoted(String(value ?? ""))).join(",") + "\r\n").join("");
}
function csvLink(name, head, rows) {
  const href = "data:text/csv;charset=utf-8," + encodeURIComponent(csv(head, rows));
  return el("a", { download: `${slug(name)}.csv`, href }, "CSV");
}

/// A plot's data as a table, which is made when it is opened.
function dataTable(head, rows) {
  const show = value => typeof value === "number" ? tidy(value) : String(value ?? "");
  const table = () => el("table.plain", {},
    el("thead", {}, el("tr", {}, head.map(name => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map(row => el("tr", {}, row.map(value => el("td", {}, show(value)))))));
  const details = el("details", {}, el("summary", {}, "Table"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(el("div.scroll.tall", { tabindex: 0 }, table()));
  });
  return details;
}
const dataFooter = (name, head, rows) => el("div.data", {}, csvLink(name, head, rows), dataTable(head, rows));
