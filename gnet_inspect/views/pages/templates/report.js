"use strict";
// For each model a diagram and a table that point at each other.

const HEAT_STEPS = 5;
// How much larger than it is drawn a diagram is shown, so that its letters are as large as the page's; and how many of its
// units a pixel has where they are too small to read.
const LETTERS = 1.1, SMALL = 1.4;

// --- one diagram: zoom and pan ---

class Canvas {
  constructor(svg) {
    this.svg = svg;
    const [left, top, width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    this.whole = { left, top, width, height };
    this.view = null;
    this.pointers = new Map();
    this.dragged = false;
    svg.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.onDown(event));
    svg.addEventListener("pointermove", (event) => this.onMove(event));
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, (event) => this.onUp(event));
    // A click that ends a drag selects nothing.
    svg.addEventListener("click", (event) => { if (this.dragged) event.stopPropagation(); }, true);
  }

  show(view) {
    this.view = view;
    this.svg.setAttribute("viewBox", `${view.left} ${view.top} ${view.width} ${view.height}`);
  }

  printed(whole) {
    const { left, top, width, height } = whole ? this.whole : this.view;
    this.svg.setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
  }

  fit() { this.show({ ...this.whole }); }

  // The top of the diagram, its text as large as the page's.
  start() {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width) return;
    // All of its width where letters stay as large as one can read, else from its left on.
    const shown = Math.max(width / LETTERS, Math.min(this.whole.width * 1.04, width * SMALL));
    const left = this.whole.left + Math.min((this.whole.width - shown) / 2, 0);
    this.show({ left, top: this.whole.top, width: shown, height: shown * height / width });
  }

  // Units of the diagram for one pixel, and the point under one of the screen.
  scale() {
    const { width, height } = this.svg.getBoundingClientRect();
    return Math.max(this.view.width / width, this.view.height / height);
  }

  at(x, y) {
    const point = new DOMPoint(x, y).matrixTransform(this.svg.getScreenCTM().inverse());
    return { x: point.x, y: point.y };
  }

  zoom(factor, x, y) {
    const least = this.whole.width / 200, most = Math.max(this.whole.width, this.whole.height) * 4;
    const width = Math.min(Math.max(this.view.width / factor, least), most);
    const real = this.view.width / width;
    const bounds = this.svg.getBoundingClientRect();
    const { x: left, y: top } = this.at(x ?? bounds.left + bounds.width / 2, y ?? bounds.top + bounds.height / 2);
    this.show({
      left: left - (left - this.view.left) / real, top: top - (top - this.view.top) / real,
      width, height: this.view.height / real,
    });
  }

  move(x, y) {
    const scale = this.scale();
    this.show({ ...this.view, left: this.view.left - x * scale, top: this.view.top - y * scale });
  }

  // A rectangle of the screen into the middle; larger where it is too small to read, smaller where it does not fit.
  centre(rectangle, zoomed) {
    const bounds = this.svg.getBoundingClientRect();
    const first = this.at(rectangle.left, rectangle.top), last = this.at(rectangle.right, rectangle.bottom);
    const width = last.x - first.x, height = last.y - first.y;
    let scale = this.scale();
    if (zoomed || width > bounds.width * scale || height > bounds.height * scale || scale > SMALL) {
      scale = Math.max(width * 1.15 / bounds.width, height * 1.15 / bounds.height, 1 / LETTERS);
    }
    const size = { width: bounds.width * scale, height: bounds.height * scale };
    this.show({ left: (first.x + last.x - size.width) / 2, top: (first.y + last.y - size.height) / 2, ...size });
  }

  onWheel(event) {
    // Without a key the wheel is the page's.
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.03 : 0.0015)), event.clientX, event.clientY);
  }

  onDown(event) {
    if (event.button) return;
    this.pointers.set(event.pointerId, event);
    if (this.pointers.size === 1) this.dragged = false;
  }

  onMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    // It was let go outside.
    if (!event.buttons) { this.pointers.delete(event.pointerId); return; }
    if (!this.dragged && Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) < 4) return;
    if (!this.dragged) this.svg.setPointerCapture(event.pointerId);
    this.dragged = true;
    const other = Array.from(this.pointers.values()).find((pointer) => pointer.pointerId !== event.pointerId);
    if (other) {
      const length = (pointer) => Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY) || 1;
      this.zoom(length(event) / length(before), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
    } else {
      this.move(event.clientX - before.clientX, event.clientY - before.clientY);
    }
    this.pointers.set(event.pointerId, event);
  }

  onUp(event) { this.pointers.delete(event.pointerId); }
}

// --- one model: its diagram at three depths, and its table ---

class Model {
  constructor(section) {
    this.section = section;
    this.figures = data.models[Number(section.dataset.model)];
    this.depths = Array.from(section.querySelectorAll(".level"), (level) => level.dataset.level);
    // By depth, and by the layers of the one block that is opened, what is drawn; blocks are opened when that is asked for.
    this.levels = new Map();
    this.canvases = new Map();
    for (const level of section.querySelectorAll(".level")) this.keep(level.dataset.level, level);
    this.openings = new Map(Array.from(section.querySelectorAll("template.opening"), (each) => [each.dataset.opens, each]));
    this.table = new LayerTable(section, this.figures, (layer) => this.choose([layer], "table"));
    this.rows = this.table.rows;
    this.chosen = [];
    // What is shown: a depth, or the layers of an opened block.
    this.depth = null;
    for (const input of this.all(`input[type=radio]`)) input.addEventListener("change", () => this.open(input.value));
    for (const button of this.all("[data-do]")) this.setUpControl(button);
    this.open(this.section.querySelector("input[type=radio]:checked")?.value);
  }

  all(selector) { return Array.from(this.section.querySelectorAll(selector)); }
  canvas() { return this.canvases.get(this.depth); }

  keep(name, level) {
    this.levels.set(name, level);
    this.canvases.set(name, this.listen(new Canvas(level.querySelector("svg"))));
  }

  parts() { return this.canvas()?.parts ?? []; }

  listen(canvas) {
    const parts = Array.from(canvas.svg.querySelectorAll("[data-layers]"));
    for (const part of parts) part.layers = part.dataset.layers.split(" ").map(Number);
    // In the order in which they run, what holds others first.
    parts.sort((one, other) => one.layers[0] - other.layers[0] || other.layers.length - one.layers.length);
    canvas.parts = parts;
    parts[0]?.setAttribute("tabindex", "0");
    const part = (event) => event.target.closest("[data-layers]");
    canvas.svg.addEventListener("click", (event) => { if (part(event)) this.choose(part(event).layers, "diagram", part(event)); });
    canvas.svg.addEventListener("dblclick", (event) => {
      if (!part(event)) return;
      if (part(event).classList.contains("header")) this.step(-1);
      else this.step(1);
    });
    canvas.svg.addEventListener("keydown", (event) => this.onKey(event, parts));
    return canvas;
  }

  onKey(event, parts) {
    const place = parts.indexOf(document.activeElement);
    const moves = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    const actions = {
      "+": () => this.canvas()?.zoom(1.3), "=": () => this.canvas()?.zoom(1.3), "-": () => this.canvas()?.zoom(1 / 1.3),
      "0": () => this.canvas()?.fit(), Escape: () => this.clear(), o: () => this.step(1), c: () => this.step(-1),
      Enter: () => this.choose(parts[place].layers, "diagram", parts[place]),
      " ": () => this.choose(parts[place].layers, "diagram", parts[place]),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || place < 0) return;
    if (event.key in moves) {
      const next = parts[Math.min(Math.max(place + moves[event.key], 0), parts.length - 1)];
      focusOne(parts, next);
      this.reveal([next]);
    } else if (event.key in actions) {
      if (event.key === "o" || event.key === "c") this.choose(parts[place].layers, "diagram", parts[place]);
      actions[event.key]();
    } else return;
    event.preventDefault();
  }

  // --- depth, colour ---

  open(depth) {
    if (!this.canvases.has(depth)) return;
    this.depth = depth;
    for (const [name, level] of this.levels) level.hidden = name !== depth;
    const shown = this.levels.get(depth).dataset.level;
    for (const input of this.all("input[type=radio]")) input.checked = input.value === shown;
    if (!this.canvas().view) this.canvas().start();
    this.paint();
    this.mark();
    this.section.querySelector("[data-do=open]").disabled = !this.after(1);
    this.section.querySelector("[data-do=close]").disabled = !this.after(-1);
    if (this.chosen.length) this.reveal(this.holding());
  }

  // What is shown next: with the chosen block opened where it stands, else one depth further (1) or back (-1).
  after(by) {
    const opened = this.levels.get(this.depth)?.dataset.opens, key = this.chosen.join(" ");
    if (by > 0 && this.levels.get(this.depth)?.dataset.level === "block" && key !== opened && this.openings.has(key)) return key;
    if (by < 0 && opened) return "block";
    const depth = this.depths[this.depths.indexOf(opened ? "block" : this.depth) + by];
    return this.canvases.has(depth) ? depth : null;
  }

  // The diagram in which one block is opened, as it stands in the page.
  unfold(key) {
    const template = this.openings.get(key);
    const level = template.content.firstElementChild.cloneNode(true);
    this.levels.get("block").after(level);
    this.keep(key, level);
  }

  step(by) {
    const depth = this.after(by);
    if (!depth) return;
    if (!this.levels.has(depth)) this.unfold(depth);
    const layers = this.chosen, inside = this.canvas()?.svg.contains(document.activeElement);
    this.open(depth);
    if (layers.length) this.reveal(this.holding(), by > 0);
    // What had the focus is hidden now: the arrow keys go on from where its layers are.
    if (inside) focusOne(this.parts(), this.holding()[0] ?? this.parts()[0]);
  }

  paint() {
    if (!this.canvas()) return;
    const what = this.section.querySelector("select[data-do=color]").value;
    const values = this.figures[what];
    const level = this.levels.get(this.depth);
    const [kinds, heat] = level.querySelectorAll(".legend");
    const boxes = Array.from(level.querySelectorAll(".box"));
    kinds.hidden = values !== undefined;
    heat.hidden = values === undefined;
    const amount = (box) => box.layers.reduce((sum, layer) => sum + (values[layer] ?? 0), 0);
    const edges = heatEdges(values ? Math.max(0, ...boxes.map(amount)) : 0);
    for (const box of boxes) {
      box.classList.toggle("warmed", values !== undefined);
      if (!values) { box.style.removeProperty("--fill"); continue; }
      box.style.setProperty("--fill", `var(--heat${heatStep(amount(box), edges)})`);
    }
    if (!values) return;
    heat.replaceChildren(...Array.from({ length: HEAT_STEPS + 1 }, (_, step) => {
      const item = document.createElement("li"), sample = document.createElement("span");
      sample.style.setProperty("--fill", `var(--heat${step})`);
      item.append(sample, step ? `up to ${said(edges[step - 1], what)}` : `no ${UNITS[what]}`);
      return item;
    }));
  }

  setUpControl(control) {
    const actions = {
      open: () => this.step(1), close: () => this.step(-1), fit: () => this.canvas()?.fit(),
      in: () => this.canvas()?.zoom(1.3), out: () => this.canvas()?.zoom(1 / 1.3),
      color: () => this.paint(), filter: () => this.table.filter(),
    };
    const event = { SELECT: "change", INPUT: "input" }[control.tagName] ?? "click";
    control.addEventListener(event, actions[control.dataset.do]);
  }

  printed(whole) {
    this.canvas()?.printed(whole);
    this.table.printed(whole);
  }

  say(text) { for (const place of this.all(".picked")) place.textContent = text; }

  // --- what is selected, on both sides ---

  choose(chosen, from, part) {
    this.chosen = chosen;
    const rows = chosen.map((layer) => this.rows[layer]);
    if (from === "diagram") {
      this.table.uncover(rows);
      focusOne(this.parts(), part);
      this.table.scrollTo(rows);
    } else {
      focusOne(this.table.buttons, this.table.buttons[chosen[0]]);
      this.reveal(this.holding());
    }
    this.mark(part);
    this.section.querySelector("[data-do=open]").disabled = !this.after(1);
    const name = this.table.text(chosen[0], "layer");
    this.say(chosen.length === 1 ? `selected: ${name}` : `selected: ${chosen.length} layers from ${name}`);
    for (const link of this.all(".go")) link.hidden = false;
  }

  clear() {
    this.chosen = [];
    this.mark();
    this.say("");
    for (const link of this.all(".go")) link.hidden = true;
  }

  // The boxes of this depth that hold what is selected.
  holding() {
    const wanted = new Set(this.chosen);
    return this.parts().filter((part) => part.classList.contains("box") && part.layers.some((layer) => wanted.has(layer)));
  }

  mark(part) {
    const chosen = new Set(this.chosen);
    this.rows.forEach((row, layer) => row.classList.toggle("chosen", chosen.has(layer)));
    const held = new Set(this.chosen.length ? this.holding() : []);
    if (part) held.add(part);
    for (const each of this.parts()) each.classList.toggle("chosen", held.has(each));
  }

  reveal(parts, zoomed = false) {
    if (!parts.length) return;
    const bounds = this.canvas().svg.getBoundingClientRect();
    const all = parts.map((part) => part.getBoundingClientRect());
    const around = {
      left: Math.min(...all.map((one) => one.left)), top: Math.min(...all.map((one) => one.top)),
      right: Math.max(...all.map((one) => one.right)), bottom: Math.max(...all.map((one) => one.bottom)),
    };
    const inside = around.left >= bounds.left && around.right <= bounds.right && around.top >= bounds.top && around.bottom <= bounds.bottom;
    if (zoomed || !inside || this.canvas().scale() > SMALL) this.canvas().centre(around, zoomed);
  }
}

// Of many only one takes part in the order of tab stops.
function focusOne(all, one) {
  for (const each of all) each.setAttribute("tabindex", each === one ? "0" : "-1");
  one.focus({ preventScroll: true });
}

// The largest amount of each step but the first, which is nothing; the last edge is the most itself.
function heatEdges(most) {
  const square = (step) => most * step * step / HEAT_STEPS ** 2;
  return Array.from({ length: HEAT_STEPS }, (_, step) => step === HEAT_STEPS - 1 ? most : square(step + 1));
}

// Found among the edges themselves, because HEAT_STEPS * amount / most can round to more than HEAT_STEPS.
function heatStep(amount, edges) {
  if (!(amount > 0)) return 0;
  const place = edges.findIndex((edge) => amount <= edge);
  return 1 + (place < 0 ? HEAT_STEPS - 1 : place);
}

const models = Array.from(document.querySelectorAll("section.model"), (section) => new Model(section));
// On paper nobody can drag or look for more: the whole diagram is shown, and every row.
addEventListener("beforeprint", () => models.forEach((model) => model.printed(true)));
addEventListener("afterprint", () => models.forEach((model) => model.printed(false)));
