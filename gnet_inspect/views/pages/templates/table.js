"use strict";
// The table of a model's layers: sorted by its heads, filtered by words and patterns, with totals of what is shown.

class LayerTable {
  // `choose` is told the layer whose row was asked for.
  constructor(section, figures, choose) {
    this.section = section;
    this.figures = figures;
    this.body = section.querySelector(".layers tbody");
    this.heads = Array.from(section.querySelectorAll(".layers thead th"));
    this.columns = Object.fromEntries(this.heads.map((head, column) => [head.dataset.field, column]));
    this.rows = Array.from(this.body.rows);
    this.buttons = this.rows.map((row) => row.querySelector("button"));
    this.words = this.rows.map((_, layer) => this.wordsOf(layer));
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row) choose(Number(row.dataset.layer));
    });
    this.body.addEventListener("keydown", (event) => this.onKey(event));
    this.heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => this.sort(column)));
    this.filter();
  }

  // What a column says of a layer; "" where the table has no such column.
  text(layer, field) {
    const column = this.columns[field];
    return column === undefined ? "" : this.rows[layer].cells[column].textContent;
  }

  // What a filter may ask for: "3x3", "3x3/2" and "64->128" as well as names.
  wordsOf(layer) {
    const [kernel, stride] = ["kernel", "stride"].map((field) => this.text(layer, field));
    const texts = ["layer", "type", "stage"].map((field) => this.text(layer, field));
    texts.push(kernel, kernel && `${kernel}/${stride}`, this.text(layer, "channels").replace(/\s*\u2192\s*/, "->"));
    return texts.filter(Boolean).map((text) => text.toLowerCase());
  }

  onKey(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    const shown = Array.from(this.body.querySelectorAll("tr:not([hidden]) button"));
    const next = shown[shown.indexOf(document.activeElement) + by];
    if (next) {
      focusOne(this.buttons, next);
      next.closest("tr").scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    event.preventDefault();
  }

  sort(column) {
    const head = this.heads[column], numbers = head.querySelector("button").dataset.sort === "number";
    // Numbers are looked for from the largest down; the place of a layer from the first up.
    const first = numbers && column > 0 ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    for (const each of this.heads) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const text = (row) => row.cells[column].textContent;
    const number = (row) => { const found = parseFloat(text(row).replaceAll(",", "")); return isNaN(found) ? -Infinity : found; };
    const compare = numbers ? (a, b) => a - b : new Intl.Collator("en", { numeric: true }).compare;
    const sign = order === "ascending" ? 1 : -1;
    const keyed = this.rows.map((row) => [numbers ? number(row) : text(row), row]);
    keyed.sort((a, b) => sign * compare(a[0], b[0]));
    this.body.append(...keyed.map(([, row]) => row));
  }

  filter() {
    const asked = this.section.querySelector("[data-do=filter]").value.toLowerCase().split(/\s+/).filter(Boolean);
    this.rows.forEach((row, layer) => { row.hidden = !asked.every((word) => this.words[layer].some((text) => meets(word, text))); });
    const first = this.body.querySelector("tr:not([hidden]) button");
    if (first) for (const button of this.buttons) button.tabIndex = button === first ? 0 : -1;
    this.section.querySelector(".count").textContent = this.counted();
  }

  // How many rows are shown, and what they come to: of all, where a filter hides some.
  counted() {
    const shown = this.rows.map((row) => !row.hidden), number = shown.filter(Boolean).length;
    const whole = number === this.rows.length;
    const chosen = Array.from(shown.keys()).filter((layer) => shown[layer]);
    const amounts = ["params", "macs"].map((what) => {
      const { least, part, share } = amountOf(this.figures, what, chosen);
      return least + said(part, what) + (whole || !share ? "" : ` (${share})`);
    });
    return [whole ? layers(number) : `${number.toLocaleString("en")} of ${layers(this.rows.length)}`, ...amounts].join(", ");
  }

  // On paper every row is there.
  printed(whole) {
    if (whole) for (const row of this.rows) row.hidden = false;
    else this.filter();
  }

  // Take away a filter that hides some of these rows.
  uncover(rows) {
    if (!rows.some((row) => row.hidden)) return;
    this.section.querySelector("[data-do=filter]").value = "";
    this.filter();
  }

  // The first of some rows to the top of the table; the page itself stays where it is.
  scrollTo(rows) {
    const table = this.section.querySelector(".scroll");
    const head = table.querySelector("thead th").getBoundingClientRect().bottom;
    table.scrollTop += Math.min(...rows.map((row) => row.getBoundingClientRect().top)) - head - 4;
  }
}

// Whether a text has a word in it, or is what a pattern with * and ? says.
function meets(word, text) { return /[*?]/.test(word) ? isLike(word, text) : text.includes(word); }

// In steps of at most pattern x text, whatever the pattern: where it fails, only the last * takes one letter more.
function isLike(pattern, text) {
  let place = 0, star = -1, from = 0;
  for (let at = 0; at < text.length;) {
    if (pattern[place] === "*") { star = place; from = at; place += 1; }
    else if (pattern[place] === "?" || pattern[place] === text[at]) { place += 1; at += 1; }
    else if (star >= 0) { place = star + 1; from += 1; at = from; }
    else return false;
  }
  return /^\**$/.test(pattern.slice(place));
}
