"use strict";
// What a tap on a box of a diagram shows beside the finger, and Enter beside the box: the figures of its layers. The table
// has them, too.

class Card {
  constructor(place) {
    this.place = place;
    // A mouse has the table beside the diagram: it sees the rows without being asked.
    document.addEventListener("click", (event) => {
      const part = event.target.closest(".canvas [data-layers]");
      if (part && ["touch", "pen"].includes(event.pointerType)) this.show(part, { x: event.clientX, y: event.clientY });
      else if (event.target.closest(".card [data-close]") || !this.place.contains(event.target)) this.hide();
    });
    document.addEventListener("dblclick", () => this.hide());
    // Before the diagram is told: Escape closes the card, and only then what is selected.
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.place.hidden) return;
      this.hide();
      event.stopPropagation();
    }, true);
    document.addEventListener("keydown", (event) => this.onKey(event));
    addEventListener("resize", () => this.hide());
    // What was scrolled before it came, to bring the box into view, is told only now.
    addEventListener("scroll", () => { if (Math.abs(scrollY - this.scrolled) > 1) this.hide(); });
  }

  onKey(event) {
    if (this.place.contains(event.target)) return;
    const part = event.target.closest?.(".canvas [data-layers]");
    if (!part || !["Enter", " "].includes(event.key)) { this.hide(); return; }
    const { left, top, width, height } = part.getBoundingClientRect();
    this.show(part, { x: left + width / 2, y: top + height / 2 });
  }

  hide() {
    // What had the focus in it gives it back to the box.
    if (this.place.contains(document.activeElement)) this.part?.focus({ preventScroll: true });
    this.place.hidden = true;
  }

  show(part, finger) {
    const section = part.closest("section.model");
    const model = models.find((each) => each.section === section);
    const chosen = part.dataset.layers.split(" ").map(Number);
    this.part = part;
    this.scrolled = scrollY;
    this.place.replaceChildren(...this.lines(model, chosen, part.getAttribute("aria-label") ?? ""));
    this.place.hidden = false;
    const { width, height } = this.place.getBoundingClientRect(), away = 16, edge = 8;
    const inside = (start, size, all) => Math.max(edge, Math.min(start, all - size - edge));
    const below = finger.y + away + height <= innerHeight - edge;
    this.place.style.left = `${inside(finger.x + away, width, innerWidth)}px`;
    this.place.style.top = `${inside(below ? finger.y + away : finger.y - away - height, height, innerHeight)}px`;
  }

  lines(model, chosen, label) {
    const head = document.createElement("p"), close = document.createElement("button"), list = document.createElement("dl");
    head.className = "card-title";
    head.textContent = chosen.length === 1 ? model.table.text(chosen[0], "layer") : label;
    close.type = "button";
    close.dataset.close = "";
    close.textContent = "close";
    for (const [name, text] of cardFigures(model, chosen)) {
      if (!text) continue;
      const term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = name;
      value.textContent = text;
      list.append(term, value);
    }
    return [head, list, close];
  }
}

// Name and text of each figure of some layers, the output being the last one's; "" where there is none.
function cardFigures(model, chosen) {
  const text = (field, layer = chosen[0]) => model.table.text(layer, field);
  const kinds = Array.from(new Set(chosen.map((layer) => text("type", layer))));
  // What folds into a box of a convolution has no window of its own.
  const windowed = chosen.filter((layer) => text("kernel", layer)), one = windowed.length === 1 ? windowed[0] : chosen[0];
  const alone = chosen.length === 1 || windowed.length === 1;
  const shared = (what) => {
    const { least, part, share } = amountOf(model.figures, what, chosen);
    return least + said(part, what).replace(` ${UNITS[what]}`, "") + (share && `, ${share} of all`);
  };
  return [
    ["layers", chosen.length > 1 ? chosen.length.toLocaleString("en") : ""],
    ["type", kinds.slice(0, 4).join(", ") + (kinds.length > 4 ? ", ..." : "")],
    ["kernel", alone ? text("kernel", one) : ""],
    ["stride", alone ? text("stride", one) : ""],
    ["channels", alone ? text("channels", one) : ""],
    ["output", text("output", chosen[chosen.length - 1])],
    ["parameters", shared("params")],
    ["MACs", shared("macs")],
    ["outputs in memory", shared("memory")],
    ["time", model.figures.time.length ? shared("time") : ""],
  ];
}

new Card(document.querySelector(".card"));
