// ---- the page of one model

/// Every method across all benchmarks at one budget: the first thing that people want to know.
function overview(model) {
  const parts = model.answers.filter(part => part.groups.rows.some(row => row.method === "full"));
  const fidelity = model.fidelity.find(part => part.keys.includes("kl"));
  const keeps = budgets([...parts.map(part => part.groups), ...(fidelity ? [fidelity.figures] : [])].flatMap(table => table.rows));
  if (!keeps.length) return null;
  keeps.sort((a, b) => isShare(b) - isShare(a) || budget(b) - budget(a));
  let chosen = keeps.at(-1);
  const find = (table, method) => table.rows.find(row => row.method === method && row.keep === chosen);
  const body = () => model.methods.map(method => method.spec).filter(spec => spec !== "full" && view.shown.has(spec)).flatMap(spec => {
    const cells = parts.map(part => find(part.groups, spec)?.cells.at(-1)), kl = fidelity && find(fidelity.figures, spec)?.cells[fidelity.keys.indexOf("kl")];
    if (!kl && cells.every(cell => !cell)) return [];
    return [el("tr", {}, el("th", { scope: "row" }, key(spec)),
      cells.map(cell => !cell?.share ? el("td", {}, el("span.soft", {}, "–")) :
        el("td.meter", { title: `score ${units.points(cell.mean[0])}` },
          figureWith(units.percent(cell.share[0]), span(cell.share, share => Math.round(100 * share))),
          el("i", { style: { "--share": Math.min(1, cell.share[0]), background: colourOf(spec) } }))),
      fidelity ? el("td", {}, kl ? figureWith(units.plain(kl.mean[0]), span(kl.mean, units.plain)) : el("span.soft", {}, "–")) : null)];
  });
  const names = parts.map(part => [part.title, part.scoreTitle === "score" ? null : part.scoreTitle,
    parts.filter(other => other.title === part.title).length > 1 ? part.setting : null].filter(Boolean).join(", "));
  const head = el("thead", {}, el("tr", {}, el("th", {}, ""), names.map(name => el("th", { scope: "col" }, name)),
    fidelity ? el("th", { scope: "col" }, "KL divergence (nats)") : null));
  return section("overview", "At a glance",
    el("p.note", {}, "The share of the full cache's score that is left, with its 95% interval; for the divergence from the full cache's next tokens, less is better."),
    el("div.choice", {}, withValue(choice("Cache", keeps.map(keep => [keep, kept(keep)]), value => { chosen = value; changed(); }), chosen)),
    el("div.card", {}, el("div.scroll", { tabindex: 0, role: "region", "aria-label": "Share of the full cache's score by method and benchmark" },
      live(el("table.scores.wide"), () => [head, el("tbody", {}, body())]))));
}

function chips(model) {
  const repaint = () => byId("methods").querySelectorAll("[data-method]").forEach(chip => {
    chip.setAttribute("aria-pressed", view.shown.has(chip.dataset.method));
    chip.querySelector("svg").replaceWith(swatch(chip.dataset.method));
  });
  const focus = spec => { if (view.focus !== spec) { view.focus = spec; drawPlots({ onlyVisible: true }); } };
  const chip = ({ spec }) => el("button.chip", {
    type: "button", "data-method": spec,
    onclick: () => { view.shown.has(spec) ? view.shown.delete(spec) : view.shown.add(spec); view.focus = null; changed(); },
    onmouseenter: () => focus(view.shown.has(spec) ? spec : null), onmouseleave: () => focus(null),
  }, swatch(spec), el("code", {}, spec));
  const compared = model.methods.filter(method => !method.isAblationPoint), others = model.methods.filter(method => method.isAblationPoint);
  const more = el("button.chip", { type: "button", "aria-expanded": "false", onclick: () => {
    more.replaceWith(...others.map(chip));
    repaint();
    byId("methods").querySelectorAll("button")[compared.length].focus();
  } }, `+ ${others.length} variants`);
  byId("methods").replaceChildren(...compared.map(chip), ...(others.length ? [more] : []));
  watchers.push(repaint);
  repaint();
}

function heading(model) {
  byId("subtitle").replaceChildren("on ", el("code", {}, model.name));
  const samples = model.answers.reduce((sum, part) => sum + part.samples, 0);
  const figures = [["questions", samples], ["samples of fidelity", model.fidelity.reduce((sum, part) => sum + part.samples, 0)],
    ["method variants", model.methods.filter(method => method.spec !== "full").length], ["result lines", data.lines]];
  byId("figures").replaceChildren(...figures.filter(([, value]) => value).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, whole(value)))));
}

function about(model) {
  const facts = [
    ["Model", [model.name, model.hash && `hash ${model.hash}`].filter(Boolean).join(", ")],
    ["chunkkv", model.versions.join(", ")], ["Machine", model.machines.join("; ")], ["Seed", model.seeds.join(", ")],
    ["Files", data.files.join(", ")],
    ["Lines", `${whole(data.lines)}${data.superseded ? `, of which ${whole(data.superseded)} were replaced by a later line of the same measurement` : ""}`],
    ["Intervals", "95%, percentile bootstrap with 2,000 resamples and a fixed seed. Samples are drawn task by task, and all methods see the same draw, so shares and differences are paired; several questions on one document are drawn together."],
  ];
  byId("about").replaceChildren(el("h3", {}, "About these figures"),
    el("dl", {}, facts.filter(([, value]) => value).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

function showModel(model) {
  view.model = model;
  view.shown = new Set(model.methods.filter(method => !method.isAblationPoint).map(method => method.spec));
  watchers = [];
  styleMethods(model);
  const numbered = (name, parts) => parts.map((part, i) => [part, parts.length > 1 ? `${name}-${i + 1}` : name]);
  const sections = [
    overview(model),
    ...model.answers.map((part, i) => answerSection(part, `benchmark-${i + 1}`)),
    ablationSection(model, "chunk", "Chunk length", "Everything else as it is: how long the chunks are that are kept or dropped as a whole."),
    ablationSection(model, "reuse", "Reuse of a choice", "How many neighbouring layers take over one layer's choice: more is faster, and less exact."),
    ...numbered("fidelity", model.fidelity).map(([part, id]) => fidelitySection(part, id)),
    similaritySection(model),
    ...numbered("speed", model.speed).map(([part, id]) => speedSection(part, id)),
  ].filter(Boolean);
  byId("main").replaceChildren(...sections);
  byId("contents").replaceChildren(...sections.map(each => el("a", { href: `#${each.id}` }, each.dataset.title)));
  heading(model);
  chips(model);
  about(model);
  drawPlots();
}

byId("model").append(...data.models.map((model, i) => el("option", { value: i }, model.name)));
byId("model").addEventListener("change", event => showModel(data.models[event.target.value]));
byId("model-label").hidden = data.models.length < 2;
byId("intervals").addEventListener("change", event => { view.intervals = event.target.checked; drawPlots(); });
dark.addEventListener("change", changed);
document.title = `What compression keeps: ${data.models.map(model => model.name).join(", ")}`;
showModel(data.models[0]);
