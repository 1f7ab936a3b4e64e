// ---- settings, which survive a reload

/// Storage may be forbidden, as in private windows: then settings last as long as the page.
const forThisPage = {};
function remembered(storage, name) {
  if (name in forThisPage) return forThisPage[name];
  try {
    return JSON.parse(window[storage].getItem(`chunkkv.${name}`));
  } catch {
    return null;
  }
}
function remember(storage, name, value) {
  forThisPage[name] = value;
  try {
    window[storage].setItem(`chunkkv.${name}`, JSON.stringify(value));
  } catch { /* see above */ }
}

const settingFields = [...byId("settings").elements].filter(field => field.name);
const setting = name => byId(name).value.trim();

function showSettings() {
  const isFull = setting("method") === "full";
  byId("keep").disabled = isFull;  // the full cache keeps everything
  byId("options-summary").textContent =
    [setting("method"), !isFull && setting("keep") && `keep ${setting("keep")}`].filter(Boolean).join(", ");
  byId("method-title").textContent = byId("method").selectedOptions[0]?.title ?? "";
}

/// Fills the fields with the user's stored settings, and with the server's where there are none.
function fillSettings({ methods = [], method = "full", keep = "", cells = 0 }) {
  const stored = remembered("localStorage", "settings") ?? {};
  const known = methods.some(each => each.name === method) ? methods : [{ name: method, title: "" }, ...methods];
  byId("method").replaceChildren(...known.map(({ name, title }) => el("option", { value: name, title }, name)));
  const start = { method, keep, ...stored };
  if (!known.some(each => each.name === start.method)) start.method = method;
  for (const field of settingFields) {
    if (field.type === "checkbox") field.checked = start[field.name] === true;
    else field.value = start[field.name] ?? "";
  }
  byId("keep").placeholder = keep;
  byId("cells").placeholder = cells > 0 ? cells : "automatic";
  showSettings();
}

/// Whether all fields are valid. Opens the settings otherwise, since a message about a field needs it in view.
function settingsAreValid() {
  if (byId("settings").checkValidity()) return true;
  byId("options").open = true;
  return byId("settings").reportValidity();
}

/// The fields of a request about the cache and sampling; an empty input leaves the choice to the server.
function requestSettings() {
  const method = setting("method"), keep = method === "full" ? "" : setting("keep");
  const cells = setting("cells"), longest = setting("longest"), temperature = setting("temperature");
  return {
    ...(longest && { max_tokens: Number(longest) }),
    ...(temperature && { temperature: Number(temperature) }),
    kv: {
      ...(method && { method }), ...(keep && { keep }), ...(cells && { cells: Number(cells) }),
      source: byId("source").checked,
    },
  };
}

byId("settings").addEventListener("input", () => {
  const values = settingFields.map(field => [field.name, field.type === "checkbox" ? field.checked : field.value]);
  remember("localStorage", "settings", Object.fromEntries(values));
  showSettings();
});
byId("settings").addEventListener("submit", event => event.preventDefault());
byId("options").open = matchMedia("(min-width: 60rem) and (min-height: 40rem)").matches;
