// ---- the page of one model

/// Compares every method on all benchmarks at one budget: the first thing that people want to know.
function overview(model) {
  const parts = model.answers.filter(({ groups }) => groups.rows.some(row => row.method === "full"));
  const fidelity = model.fidelity.find(({ keys }) => keys.includes("kl")), kl = fidelity?.keys.indexOf("kl");
  const tables = [...parts.map(part => part.groups), ...(fidelity ? [fidelity.figures] : [])];
  const keeps = budgets(tables.flatMap(table => table.rows))
    .sort((a, b) => isShare(b) - isShare(a) || parseFloat(b) - parseFloat(a));
  if (!keeps.length) return null;
  let keep = keeps.findLast(isShare) ?? keeps.at(-1);

  const cellOf = (table, spec, column) =>
    table.rows.find(row => row.method === spec && row.keep === keep)?.cells.at(column);
  const missing = () => el("td", {}, el("span.soft", {}, "–"));
  const row = spec => {
    const scores = parts.map(({ groups }) => cellOf(groups, spec, -1));
    const divergence = fidelity && cellOf(fidelity.figures, spec, kl);
    if (!divergence && scores.every(score => !score)) return [];
    return el("tr", {}, el("th", { scope: "row" }, key(spec)),
      scores.map(score => score?.share ? meter(spec, score.share, `score ${units.points(score.mean[0])}`) : missing()),
      !fidelity ? null : !divergence ? missing()
        : el("td", {}, figureWith(units.plain(divergence.mean[0]), span(divergence.mean, units.plain))));
  };
  const name = ({ title, scoreTitle, setting }) => {
    const isTwice = parts.filter(other => other.title === title).length > 1;
    return [title, scoreTitle === "score" ? "" : scoreTitle, isTwice ? setting : ""].filter(Boolean).join(", ");
  };
  const columns = [...parts.map(name), ...(fidelity ? ["KL divergence (nats)"] : [])];
  const head = el("thead", {}, el("tr", {}, el("td"), columns.map(column => el("th", { scope: "col" }, column))));
  const specs = model.methods.map(method => method.spec).filter(spec => spec !== "full");
  const body = () => el("tbody", {}, specs.filter(spec => view.shown.has(spec)).map(row));
  return section("overview", "At a glance",
    el("p.note", {}, "The share of the full cache's score that is left, with its 95% interval; for the divergence from " +
      "the full cache's next tokens, less is better."),
    el("div.choice", {}, budgetChoice(keeps, keep, value => { keep = value; changed(); })),
    el("div.card", {}, el("div.scroll", { tabindex: 0, role: "region", "aria-label": "All methods and benchmarks" },
      live(el("table.scores"), () => [head, body()]))));
}

/// Makes one legend for all plots: a button for each method, which shows or hides it everywhere.
function legendButtons(methods) {
  const all = byId("methods");
  const repaint = () => all.querySelectorAll("[data-method]").forEach(button => {
    button.setAttribute("aria-pressed", view.shown.has(button.dataset.method));
    button.querySelector("svg").replaceWith(swatch(button.dataset.method));
  });
  const focus = spec => {
    if (view.focus === spec) return;
    view.focus = spec;
    drawPlots({ onlyVisible: true });
  };
  const toggle = spec => {
    if (!view.shown.delete(spec)) view.shown.add(spec);
    view.focus = null;
    changed();
  };
  const button = ({ spec }) => el("button.chip", {
    type: "button", "data-method": spec, onclick: () => toggle(spec),
    onmouseenter: () => focus(view.shown.has(spec) ? spec : null), onmouseleave: () => focus(null),
  }, swatch(spec), el("code", {}, spec));
  const compared = methods.filter(method => !method.isAblationPoint);
  const others = methods.filter(method => method.isAblationPoint);
  const more = el("button.chip", { type: "button", onclick: () => {
    const buttons = others.map(button);
    more.replaceWith(...buttons);
    repaint();
    buttons[0].focus();
  } }, `+ ${others.length} variants`);
  all.replaceChildren(...compared.map(button), ...(others.length ? [more] : []));
  watchers.push(repaint);
  repaint();
}

function heading(model) {
  const count = parts => parts.reduce((sum, part) => sum + part.samples, 0);
  const figures = [["questions", count(model.answers)], ["samples of fidelity", count(model.fidelity)],
    ["method variants", model.methods.filter(method => method.spec !== "full").length], ["result lines", data.lines]];
  byId("subtitle").replaceChildren("on ", el("code", {}, model.name));
  byId("figures").replaceChildren(...figures.filter(([, n]) => n > 0)
    .map(([name, n]) => el("div", {}, el("dt", {}, name), el("dd", {}, whole(n)))));
}

function about(model) {
  const repeated = data.repeated
    ? `, ${whole(data.repeated)} of them left out, as another line tells the same measurement` : "";
  const facts = [
    ["Model", model.hash ? `${model.name}, hash ${model.hash}` : model.name], ["chunkkv", model.versions.join(", ")],
    ["Machine", model.machines.join("; ")], ["Seed", model.seeds.join(", ")], ["Files", data.files.join(", ")],
    ["Lines", whole(data.lines) + repeated],
    ["Intervals", "95%, percentile bootstrap with 2,000 resamples and a fixed seed. Samples are drawn task by task, and " +
      "all methods see the same draw, so shares and differences are paired; several questions on one document are drawn " +
      "together."],
  ];
  byId("about").replaceChildren(el("h3", {}, "About these figures"), el("dl", {},
    facts.filter(([, text]) => text).map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])));
}

function showModel(model) {
  view.shown = new Set(model.methods.filter(method => !method.isAblationPoint).map(method => method.spec));
  watchers = [];
  styleMethods(model.methods);
  const sections = [
    overview(model),
    ...model.answers.map((part, i) => answerSection(part, `benchmark-${i + 1}`)),
    ablationSection(model, "chunk", "Chunk length",
      "How long the chunks are that are kept or dropped as a whole; everything else as it is."),
    ablationSection(model, "reuse", "Reuse of a choice",
      "How many neighbouring layers share one layer's choice; everything else as it is."),
    ...model.fidelity.map((part, i) => fidelitySection(part, `fidelity-${i + 1}`)),
    similaritySection(model),
    ...model.speed.map((part, i) => speedSection(part, `speed-${i + 1}`)),
  ].filter(Boolean);
  byId("main").replaceChildren(...sections);
  byId("contents").replaceChildren(...sections.map(each => el("a", { href: `#${each.id}` }, each.dataset.title)));
  heading(model);
  legendButtons(model.methods);
  about(model);
  drawPlots();
}

byId("model").append(...data.models.map((model, i) => el("option", { value: i }, model.name)));
byId("model").addEventListener("change", event => showModel(data.models[event.target.value]));
byId("model-label").hidden = data.models.length < 2;
byId("intervals").addEventListener("change", event => {
  view.intervals = event.target.checked;
  drawPlots();
});
dark.addEventListener("change", changed);
document.title = `What compression keeps: ${data.models.map(model => model.name).join(", ")}`;
showModel(data.models[0]);
