// The chosen part: what it costs, and its arguments with what changes them, each where it stands in the text.

import { element } from "./elements.js";

const VALUES = { integer: /^-?\d{1,15}$/, number: /^-?\d{0,15}\.\d{1,15}$/, flag: /^(true|false)$/, text: /^/ };

export class Part {
  constructor(root, { text, open }) {
    this.root = root;
    this.text = text;
    this.open = open;
    // Where each argument stands in the text as it is now.
    this.slots = [];
    this.shown = "";
  }

  // A part of the text of an edit: what was typed since is what its arguments are now.
  show(found, number) {
    this.slots = found.steppers.map((stepper) => this.slotOf(stepper, number));
    // What is being dragged or typed in stays; its neighbours' values are written anew.
    const shape = JSON.stringify([found.path, found.steppers.map((stepper) => [stepper.label, stepper.kind, stepper.where, stepper.uses])]);
    if (shape !== this.shown) {
      this.shown = shape;
      this.draw(found);
    }
    this.refresh(found);
  }

  slotOf(stepper, number) {
    const { from, to } = this.text.offsets(stepper.place, number) ?? { from: 0, to: 0 };
    const now = this.text.view.state.sliceDoc(from, to);
    return { ...stepper, from, to, text: VALUES[stepper.kind].test(now) ? now : stepper.text };
  }

  draw(found) {
    this.root.hidden = !found.path;
    if (!found.path) return;
    this.facts = element("dl", { class: "facts" });
    this.inputs = [];
    this.words = element("span", { class: "words" });
    const rows = found.steppers.map((stepper, index) => this.row(stepper, index));
    this.root.replaceChildren(
      element("header", {}, [
        element("h2", {}, [found.path]),
        this.words,
        found.role === "block" && this.button("open in the picture", () => this.open(found.path)),
      ]),
      this.facts,
      rows.length ? element("div", { class: "steppers" }, rows) : element("p", { class: "hint" }, ["It has no arguments of its own: choose what is inside of it, or around it."]),
    );
  }

  row(stepper, index) {
    const id = `argument-${index}`;
    const note = [stepper.where, stepper.uses > 1 && `${stepper.uses} places`].filter(Boolean).join(", ");
    const label = element("label", { for: id }, [stepper.label, note && element("small", {}, [note])]);
    if (stepper.kind === "text") {
      const said = element("output", { id });
      this.inputs.push({ said });
      return element("div", { class: "stepper" }, [label, said]);
    }
    if (stepper.kind === "flag") {
      const box = element("input", { id, type: "checkbox" });
      box.addEventListener("change", () => this.write(index, String(box.checked)));
      this.inputs.push({ box });
      return element("div", { class: "stepper" }, [label, box]);
    }
    const step = stepper.kind === "integer" ? 1 : 0.05;
    const number = element("input", { id, type: "number", step, min: stepper.least });
    const slider = element("input", { type: "range", step, "aria-label": `${stepper.label}, slider`, ...range(stepper, step) });
    number.addEventListener("input", () => number.value !== "" && allows(number, stepper) && this.write(index, number.value));
    // What cannot stand there does not stay.
    number.addEventListener("blur", () => this.value(index, this.slots[index].text));
    slider.addEventListener("input", () => this.write(index, slider.value));
    const by = (sign) => () => this.write(index, stepped(this.slots[index], sign * step));
    this.inputs.push({ number, slider });
    return element("div", { class: "stepper" }, [
      label,
      this.button("−", by(-1), `${stepper.label}: one step less`),
      number,
      this.button("+", by(1), `${stepper.label}: one step more`),
      slider,
    ]);
  }

  button(words, act, label) {
    const made = element("button", { type: "button", "aria-label": label }, [words]);
    made.addEventListener("click", act);
    return made;
  }

  refresh(found) {
    if (!found.path) return;
    this.words.textContent = found.words;
    this.facts.replaceChildren(...found.facts.map(([name, value]) => element("div", {}, [element("dt", {}, [name]), element("dd", {}, [value])])));
    this.slots.forEach((slot, index) => this.value(index, slot.text));
  }

  value(index, text) {
    const { number, slider, box, said } = this.inputs[index];
    if (number && number !== document.activeElement && number.value !== text) number.value = text;
    if (slider) {
      if (Number(text) > Number(slider.max)) slider.max = text;
      if (slider.value !== text) slider.value = text;
    }
    if (box) box.checked = text === "true";
    if (said) said.textContent = text;
  }

  write(index, value) {
    const slot = this.slots[index];
    // The text may have become another one since it was asked for.
    if (!slot || this.text.view.state.sliceDoc(slot.from, slot.to) !== slot.text) return;
    if (slot.least != null && Number(value) < slot.least) return;
    if (value === slot.text) return;
    this.text.write(slot.from, slot.to, value);
    slot.text = value;
    this.value(index, value);
  }

  // The text changed: places move with it.
  follow(changes) {
    for (const slot of this.slots) {
      slot.from = changes.mapPos(slot.from, -1);
      slot.to = changes.mapPos(slot.to, 1);
    }
  }
}

// A real number may lie between two steps.
function allows(number, { kind }) {
  const { valid, stepMismatch, badInput, rangeUnderflow } = number.validity;
  return valid || (kind === "number" && stepMismatch && !badInput && !rangeUnderflow);
}

function stepped(slot, by) {
  const value = Number(slot.text) + by;
  return slot.kind === "integer" ? String(value) : String(Number(value.toFixed(4)));
}

// From the least to twice what it is, in round steps.
function range(stepper, step) {
  const value = Number(stepper.text);
  const least = stepper.least ?? (value < 0 ? 2 * value : 0);
  const most = step < 1 ? Math.max(1, 2 * value) : Math.max(2 * value, least + 8);
  return { min: least, max: most };
}
