// The picture: an svg that can be moved, made larger, and whose boxes can be chosen.

const LARGEST = 40;
const STEP = 1.25;

export class Picture {
  constructor(root, { select, open }) {
    this.root = root;
    this.select = select;
    // What of it is seen: its left top corner and its width, in its own units; null for the whole.
    this.seen = null;
    this.size = { width: 1, height: 1 };
    root.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    root.addEventListener("pointerdown", (event) => this.grab(event));
    root.addEventListener("dblclick", (event) => {
      const layers = layersOf(event.target);
      if (layers) open(layers);
    });
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("focusin", (event) => this.rove(event.target));
    new ResizeObserver(() => this.place()).observe(root);
  }

  show({ svg, width, height }) {
    // Parsed as a document of its own: what is in it is data, and nothing of it runs.
    const parsed = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
    if (parsed.localName !== "svg") return;
    const hadFocus = this.root.contains(document.activeElement) && document.activeElement.dataset.layers;
    this.root.replaceChildren(document.importNode(parsed, true));
    this.size = { width, height };
    const boxes = this.boxes();
    boxes.forEach((box, index) => box.setAttribute("tabindex", index ? "-1" : "0"));
    if (hadFocus) boxes.find((box) => box.dataset.layers === hadFocus)?.focus({ preventScroll: true });
    this.place();
  }

  // The keyboard comes back to the box that it was at.
  rove(box) {
    for (const each of this.boxes()) each.setAttribute("tabindex", each === box ? "0" : "-1");
  }

  boxes() {
    return [...this.root.querySelectorAll("[data-layers]")];
  }

  // By the number of a layer what became of it.
  mark(marks) {
    for (const box of this.root.querySelectorAll(".box[data-layers]")) {
      const found = numbers(box).map((layer) => marks[layer]);
      const is = found.includes("changed") || (found.includes("added") && !found.every((mark) => mark === "added")) ? "changed"
        : found.includes("added") ? "added" : found.includes("affected") ? "affected" : "";
      for (const mark of ["changed", "added", "affected"]) box.classList.toggle(mark, mark === is);
    }
  }

  choose(layers) {
    const wanted = new Set(layers);
    let best = null;
    for (const box of this.boxes()) {
      const own = numbers(box);
      const all = own.length > 0 && own.every((layer) => wanted.has(layer));
      const around = !all && layers.length > 0 && box.classList.contains("box") && layers.every((layer) => own.includes(layer));
      box.classList.toggle("chosen", all || around);
      if ((all || around) && !best) best = box;
    }
    return best;
  }

  // --- what is seen of it ---

  place() {
    const svg = this.root.firstElementChild;
    if (!svg) return;
    const { width, height } = this.size;
    const room = this.root.getBoundingClientRect();
    const seen = this.seen ?? { x: 0, y: 0, width };
    const tall = this.seen ? (seen.width * room.height) / Math.max(room.width, 1) : height;
    svg.setAttribute("viewBox", `${seen.x} ${seen.y} ${seen.width} ${tall}`);
    svg.setAttribute("preserveAspectRatio", this.seen ? "xMinYMin" : "xMidYMid");
    this.root.classList.toggle("moved", this.seen !== null);
  }

  whole() {
    this.seen = null;
    this.place();
  }

  zoom(factor, at) {
    const room = this.root.getBoundingClientRect();
    const before = this.seen ?? this.fitted(room);
    const { width, height } = this.size;
    const most = 2 * Math.max(width, (height * room.width) / room.height);
    const wide = Math.min(Math.max(before.width / factor, room.width / LARGEST), most);
    const x = at ? (at.x - room.left) / room.width : 0.5;
    const y = at ? (at.y - room.top) / room.height : 0.5;
    const shape = room.height / room.width;
    this.seen = {
      x: before.x + x * (before.width - wide),
      y: before.y + y * (before.width - wide) * shape,
      width: wide,
    };
    this.place();
  }

  // The whole of it, as what is seen.
  fitted(room) {
    const { width, height } = this.size;
    const shape = room.height / room.width;
    const wide = Math.max(width, height / shape);
    return { x: (width - wide) / 2, y: (height - wide * shape) / 2, width: wide };
  }

  wheel(event) {
    // Without a key the wheel is the page's.
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 400), { x: event.clientX, y: event.clientY });
  }

  grab(event) {
    if (event.button) return;
    const start = { x: event.clientX, y: event.clientY };
    const room = this.root.getBoundingClientRect();
    const before = this.seen ?? this.fitted(room);
    const layers = layersOf(event.target);
    let moved = false;
    const move = (now) => {
      const x = now.clientX - start.x;
      const y = now.clientY - start.y;
      if (!moved && Math.hypot(x, y) < 4) return;
      moved = true;
      const unit = before.width / room.width;
      this.seen = { ...before, x: before.x - x * unit, y: before.y - y * unit };
      this.place();
    };
    const stop = ({ type }) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", stop);
      removeEventListener("pointercancel", stop);
      // Cancelled is a touch that scrolls the page.
      if (type === "pointerup" && !moved && layers) this.select(layers);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", stop);
    addEventListener("pointercancel", stop);
  }

  key(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const layers = layersOf(event.target);
    if (by) {
      const boxes = this.boxes();
      const next = boxes[boxes.indexOf(event.target.closest("[data-layers]")) + by];
      if (next) {
        event.preventDefault();
        next.focus();
      }
    } else if (layers && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.select(layers);
    } else if (event.key === "+" || event.key === "-") {
      this.zoom(event.key === "+" ? STEP : 1 / STEP);
    } else if (event.key === "0") {
      this.whole();
    }
  }
}

function numbers(box) {
  return box.dataset.layers ? box.dataset.layers.split(" ").map(Number) : [];
}

function layersOf(target) {
  const box = target.closest?.("[data-layers]");
  return box ? numbers(box) : null;
}
