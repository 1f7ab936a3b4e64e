// ---- light and dark: as the system says, until the button is pressed

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const chosen = remembered("localStorage", "theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
  byId("theme").setAttribute("aria-pressed", (chosen ?? (systemIsDark.matches ? "dark" : "light")) === "dark");
}

byId("theme").addEventListener("click", () => {
  const isDark = byId("theme").getAttribute("aria-pressed") === "true";
  document.documentElement.dataset.theme = isDark ? "light" : "dark";
  remember("localStorage", "theme", document.documentElement.dataset.theme);
  byId("theme").setAttribute("aria-pressed", !isDark);
  drawStrip();
});
systemIsDark.addEventListener("change", () => {
  showTheme();
  drawStrip();
});
showTheme();
