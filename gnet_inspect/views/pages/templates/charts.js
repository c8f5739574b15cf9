"use strict";
// The page's charts, and its theme.

// --- charts ---

// A chart's specification with the page's own colours for "@ink" and the like: as CSS variables, which follow the theme,
// on paper too, without being drawn anew. Data are left as they are, but for the fills in them.
function themed(value, key) {
  if (typeof value === "string") return key !== "values" && /^@[a-z0-9]+$/.test(value) ? `var(--${value.slice(1)})` : value;
  if (Array.isArray(value)) return value.map((item) => themed(item, key));
  if (value === null || typeof value !== "object") return value;
  if (key === "values") return "fill" in value ? { ...value, fill: themed(value.fill) } : value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, name)]));
}

const FONT = "Roboto, system-ui, Arial, Helvetica, sans-serif";
const CONFIG = themed({
  background: "transparent", font: FONT,
  view: { stroke: "transparent" },
  axis: { labelFont: FONT, titleFont: FONT, labelColor: "@ink", titleColor: "@ink", gridColor: "@line", domainColor: "@line", tickColor: "@line", titleFontWeight: "normal" },
  text: { font: FONT },
});

const views = new Map();

async function drawChart(place) {
  const name = place.dataset.chart;
  const drawn = await vegaEmbed(place, themed(data.charts[name]), { actions: false, ast: true, renderer: "svg", config: CONFIG });
  // What a chart shows is in the tables, too: for screen readers it is one picture with a name.
  place.querySelector("svg")?.setAttribute("aria-hidden", "true");
  views.set(name, drawn.view);
  if (name.startsWith("icicle-")) showMeasure(drawn.view);
}

function showMeasure(view) {
  const chosen = document.querySelector("input[name=measure]:checked");
  for (const place of document.querySelectorAll(".measured")) place.textContent = chosen.parentElement.textContent.trim();
  view.signal("measure", chosen.value).runAsync();
}

for (const input of document.querySelectorAll("input[name=measure]")) {
  input.addEventListener("change", () => {
    for (const [name, view] of views) if (name.startsWith("icicle-")) showMeasure(view);
  });
}

// --- theme ---

document.getElementById("theme").addEventListener("change", (event) => {
  if (event.target.value) document.documentElement.dataset.theme = event.target.value;
  else delete document.documentElement.dataset.theme;
});

Promise.all(Array.from(document.querySelectorAll("[data-chart]"), drawChart))
  .then(() => document.documentElement.setAttribute("data-drawn", ""));
