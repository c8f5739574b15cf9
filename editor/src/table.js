// The table of blocks. Only cells that changed are written: an edit changes few of them.

import { element } from "./elements.js";

const MARKS = { added: "new", changed: "changed", affected: "other numbers" };

export class Table {
  constructor(root, select) {
    this.root = root;
    this.body = element("tbody");
    this.head = element("tr");
    root.append(element("thead", {}, [this.head]), this.body);
    this.titles = "";
    this.body.addEventListener("click", (event) => {
      const path = event.target.closest("tr")?.dataset.path;
      if (path) select(path);
    });
    this.body.addEventListener("keydown", (event) => this.step(event, select));
    new ResizeObserver(() => this.reveal()).observe(root.parentElement);
  }

  show(heads, rows, left) {
    const titles = JSON.stringify(heads);
    if (titles !== this.titles) {
      this.titles = titles;
      this.head.replaceChildren(
        ...heads.map((head) => element("th", { scope: "col", class: head.is_number && "number" }, [head.title])),
      );
      this.body.replaceChildren();
    }
    const own = this.body.children;
    while (own.length > rows.length) own[own.length - 1].remove();
    rows.forEach((row, index) => this.fill(own[index] ?? this.add(heads), row, index === rows.length - 1));
    this.root.caption?.remove();
    if (left) {
      const caption = this.root.createCaption();
      caption.textContent = `${left.toLocaleString("en")} more rows: gnet-inspect summary has them all`;
    }
    this.choose(this.chosen, false);
  }

  add(heads) {
    const row = element("tr", {}, heads.map((head, index) =>
      index ? element("td", { class: head.is_number && "number" }) : element("th", { scope: "row" }, [element("button", { type: "button" })]),
    ));
    this.body.append(row);
    return row;
  }

  fill(row, { path, level, cells, mark }, total) {
    row.dataset.path = path;
    row.className = [mark, total && "total", level === 0 && "outer"].filter(Boolean).join(" ");
    const name = row.cells[0].firstChild;
    name.style.setProperty("--level", level);
    name.disabled = !path;
    name.title = MARKS[mark] ?? "";
    cells.forEach((cell, index) => {
      const place = index ? row.cells[index] : name;
      if (place.textContent === cell) return;
      place.textContent = cell;
      if (index < 2) row.cells[index].title = cell;
    });
  }

  // Mark the row of a part; one that was not marked before is brought into sight.
  choose(path, scrolls = path !== this.chosen) {
    this.chosen = path;
    // Of a stage and a layer that are called alike the layer, which comes after it.
    const chosen = [...this.body.children].findLast((row) => Boolean(path) && row.dataset.path === path);
    for (const row of this.body.children) row.classList.toggle("chosen", row === chosen);
    if (scrolls) this.reveal();
  }

  // Within the table's own room: the page stays where it is.
  reveal() {
    const row = this.body.querySelector(".chosen");
    if (!row) return;
    const room = this.root.parentElement;
    const top = row.offsetTop - this.root.tHead.offsetHeight;
    const bottom = row.offsetTop + row.offsetHeight - room.clientHeight;
    if (room.scrollTop > top) room.scrollTop = top;
    else if (room.scrollTop < bottom) room.scrollTop = bottom;
  }

  step(event, select) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    const rows = [...this.body.children];
    const next = rows[rows.indexOf(event.target.closest("tr")) + by];
    if (!next?.dataset.path) return;
    event.preventDefault();
    next.cells[0].firstChild.focus();
    select(next.dataset.path);
  }
}
