// ---- elements, numbers, CSV

/// el("p.note", {title: "…"}, "text", element): null and undefined children and attributes are left out.
function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "style") {
      for (const [property, set] of Object.entries(value)) element.style.setProperty(property, set);
    } else if (key.startsWith("on")) {
      element.addEventListener(key.slice(2), value);
    } else {
      element.setAttribute(key, value === true ? "" : value);
    }
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined));
  return element;
}
const byId = id => document.getElementById(id);
const unique = values => [...new Set(values)];

const whole = n => Math.round(n).toLocaleString("en-US");
/// With a real minus sign, which zero has not.
const minus = text => /[1-9]/.test(text) ? text.replace(/^-/, "−") : text.replace(/^-/, "");
const sentence = text => text.charAt(0).toUpperCase() + text.slice(1);
const signed = (text, value) => (value > 0 && /[1-9]/.test(text) ? "+" : "") + minus(text);
const tidy = n => Number.isInteger(n) ? whole(n) : minus(n.toPrecision(3));

function milliseconds(value) {
  if (value < 1000) return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
  return `${(value / 1000).toFixed(value < 10000 ? 2 : 1)} s`;
}
function bytes(value) {
  if (value < 2 ** 30) return `${(value / 2 ** 20).toFixed(value < 2 ** 24 ? 1 : 0)} MiB`;
  return `${(value / 2 ** 30).toFixed(2)} GiB`;
}
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
const three = estimate => estimate ? [estimate[0], estimate[1] ?? null, estimate[2] ?? null] : [null, null, null];

const isShare = keep => keep.endsWith("%");
/// A budget as people say it.
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

/// The same data as a table, made when it is opened.
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
