// ---- elements, numbers, CSV

/// el("p.note", {title: "…"}, "text", element): null and undefined children and attributes are left out.
function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "style") for (const [property, set] of Object.entries(value)) element.style.setProperty(property, set);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined));
  return element;
}
const byId = id => document.getElementById(id);

const whole = n => Math.round(n).toLocaleString("en-US");
/// With a real minus sign, which zero has not.
const minus = text => /[1-9]/.test(text) ? text.replace(/^-/, "−") : text.replace(/^-/, "");
const sentence = text => text.charAt(0).toUpperCase() + text.slice(1);
const signed = (text, value) => (value > 0 && /[1-9]/.test(text) ? "+" : "") + minus(text);
const tidy = n => Number.isInteger(n) ? whole(n) : minus(n.toPrecision(3));

const units = {
  points: value => minus((100 * value).toFixed(1)),
  plain: value => minus(value.toFixed(Math.abs(value) < 0.1 ? 4 : 3)),
  ms: value => value < 10 ? `${value.toFixed(2)} ms` : value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(value < 10000 ? 2 : 1)} s`,
  bytes: value => value < 2 ** 30 ? `${(value / 2 ** 20).toFixed(value < 2 ** 24 ? 1 : 0)} MiB` : `${(value / 2 ** 30).toFixed(2)} GiB`,
  rate: value => value < 100 ? value.toFixed(1) : whole(value),
  percent: value => `${Math.round(100 * value)}%`,
};
const span = (estimate, format) => estimate.length > 1 ? `${format(estimate[1])} to ${format(estimate[2])}` : "";
const withSpan = (estimate, format) => format(estimate[0]) + (estimate.length > 1 ? ` (${span(estimate, format)})` : "");

/// A budget as people say it.
const kept = keep => keep.endsWith("%") ? `${keep} kept` : `${whole(Number(keep))} tokens kept`;
const isShare = keep => keep.endsWith("%");
const budget = keep => parseFloat(keep);
const kilo = n => n >= 1000 ? `${Number((n / 1000).toFixed(1))}k` : String(n);
const slug = text => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

function csv(head, rows) {
  const cell = value => value === null || value === undefined ? "" :
    /[",\n\r]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  return [head, ...rows].map(row => row.map(cell).join(",") + "\r\n").join("");
}
const csvLink = (name, head, rows) =>
  el("a", { download: `${slug(name)}.csv`, href: "data:text/csv;charset=utf-8," + encodeURIComponent(csv(head, rows)) }, "CSV");

/// The same data as a table, made when it is opened.
function dataTable(head, rows) {
  const show = value => typeof value === "number" ? tidy(value) : value ?? "";
  const details = el("details", {}, el("summary", {}, "Table"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    details.append(el("div.scroll.tall", { tabindex: 0 }, el("table.plain", {},
      el("thead", {}, el("tr", {}, head.map(name => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map(row => el("tr", {}, row.map(value => el("td", {}, String(show(value))))))))));
  });
  return details;
}
const dataFooter = (name, head, rows) => el("div.data", {}, csvLink(name, head, rows), dataTable(head, rows));
