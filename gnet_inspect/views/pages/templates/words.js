"use strict";
// What the page's scripts share: its data, and how amounts are said.

const data = JSON.parse(document.getElementById("data").textContent);
const UNITS = { params: "parameters", macs: "MACs", memory: "activation memory", time: "time" };

function layers(number) { return `${number.toLocaleString("en")} layer${number === 1 ? "" : "s"}`; }

function said(value, what) {
  if (what === "time") return value ? scaled(value * 1e12, ["ps", "ns", "us", "ms", "s"]) : "0 s";
  if (what !== "memory") return `${scaled(value, ["", "K", "M", "G", "T"])} ${UNITS[what]}`;
  return scaled(value, ["B", "kB", "MB", "GB", "TB"]);
}

function scaled(value, units) {
  let unit = 0;
  // 999,999 would be "1000.00 K": what rounds up to the next unit belongs to it.
  while (Number(value.toFixed(unit ? 2 : 0)) >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${unit ? value.toFixed(2) : Math.round(value)} ${units[unit]}`.trim();
}

// What some layers have of something: the amount, "at least " before one that lacks what nobody can count, and the share
// of all. A share of what is not known is none.
function amountOf(figures, what, chosen) {
  const values = figures[what], counted = ["params", "macs"].includes(what) ? figures.macs : values;
  const part = chosen.reduce((sum, layer) => sum + (values[layer] ?? 0), 0);
  const all = values.reduce((sum, value) => sum + (value ?? 0), 0);
  const least = chosen.some((layer) => counted[layer] === null) ? "at least " : "";
  return { least, part, share: all && !counted.includes(null) ? percent(part, all) : "" };
}

// With one decimal; what is not nothing does not read as nothing.
function percent(part, whole) {
  const text = (100 * part / whole).toFixed(1);
  return `${part && text === "0.0" ? "<0.1" : text} %`;
}
