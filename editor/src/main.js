// The page: what is typed goes to the server; what it counts and draws is shown.

import { Connection } from "./connection.js";
import { Drafts } from "./drafts.js";
import { element, find } from "./elements.js";
import { showFigures, showLights } from "./figures.js";
import { Part } from "./part.js";
import { Picture } from "./picture.js";
import { Table } from "./table.js";
import { Text } from "./text.js";

const nonce = document.querySelector("meta[name=nonce]").content;
const state = { saved: "", marks: new Map(), view: { depth: "block", opened: "" }, ended: false };
let text, part, drafts, hello;

const connection = new Connection(receive, lost);
const picture = new Picture(find("#picture"), {
  select: (layers) => choose({ layers }),
  open: (layers) => {
    state.opening = true;
    choose({ layers });
  },
});
const table = new Table(find("#table"), (path) => choose({ path }));

function receive(message) {
  if (message.is === "hello") return begin(message);
  if (message.is === "saved") return saved(message);
  const { number, answer } = message;
  if (answer.is === "counted") counted(number, answer);
  else if (answer.is === "drawn") drawn(number, answer);
  else if (answer.is === "found") found(number, answer);
  else wrong(number, answer);
}

// --- the text ---

function begin(message) {
  hello = message;
  state.saved = hello.text;
  drafts = draftsOf();
  text = new Text(find("#text"), {
    text: hello.text,
    nonce,
    complete: (whole, offset) => connection.ask({ is: "ask", text: whole, offset }),
    changed,
    moved: point.start,
    save,
    saveAs,
  });
  part = new Part(find("#part"), { text, open });
  addEventListener("resize", later(fit, 250).start);
  const models = find("#models");
  models.replaceChildren(...hello.models.map((name) => element("option", { value: name })));
  find("#other").value = hello.chosen;
  title();
  offer(drafts.find(hello.text));
  document.body.dataset.ready = "";
}

function changed(update) {
  part.follow(update.changes);
  document.body.dataset.edited = text.number;
  connection.say({ is: "edit", number: text.number, text: text.text });
  if (text.text === state.saved) drafts.drop();
  else drafts.keep(() => text.text);
  title();
}

function title() {
  const dirty = text.text !== state.saved;
  find("#file").textContent = hello.name;
  find("#dirty").textContent = dirty ? "not saved" : hello.is_file ? "saved" : "not a file yet";
  document.title = `${dirty ? "• " : ""}${hello.name} - gnet-inspect`;
  find("#save").disabled = state.ended || (hello.is_file && !dirty);
  find("#undo").disabled = !text.canUndo;
  find("#redo").disabled = !text.canRedo;
}

function draftsOf() {
  return new Drafts(`${hello.folder}/${hello.name}`, () => {
    notice("draft", "This browser keeps no drafts: what is not saved is lost with this tab.", []);
  });
}

// What was typed before and not saved.
function offer(draft) {
  if (!draft) return;
  const when = new Date(draft.at).toLocaleString();
  const bring = () => {
    dismiss("draft");
    text.replace(draft.text);
    // It is this tab's from here on.
    drafts.keepNow();
    drafts.forget(draft.key);
  };
  const forget = () => {
    dismiss("draft");
    drafts.forget(draft.key);
    offer(drafts.find(hello.text));
  };
  notice("draft", `There is a text of ${when} that was not saved.`, [["Bring it back", bring], ["Forget it", forget]]);
}

function save() {
  if (state.ended) return;
  if (hello.is_named) connection.say({ is: "save", text: text.text });
  else saveAs();
}

function saveAs() {
  const dialog = find("#naming");
  if (state.ended || dialog.open) return;
  // Some browsers keep how it was closed the last time, where Escape closes it.
  dialog.returnValue = "";
  find("#name").value = hello.is_named ? hello.name : `my_${hello.name.replace(/[^\w.-]/g, "_").replace(/\.ya?ml$/, "")}.yaml`;
  find("#folder").textContent = hello.folder;
  dialog.showModal();
  find("#name").select();
}

function saved(message) {
  if (message.problem) {
    const name = message.name === hello.name ? "" : message.name;
    const again = ["Overwrite it", () => (connection.say({ is: "save", text: message.text, name, overwrite: true }), dismiss("save"))];
    notice("save", `Not saved: ${message.problem}.`, [...(message.asks ? [again] : []), ["Save as ...", () => (dismiss("save"), saveAs())]]);
    return;
  }
  drafts.drop();
  hello = { ...hello, name: message.name, is_named: true, is_file: true };
  state.saved = message.text;
  drafts = draftsOf();
  if (text.text !== state.saved) drafts.keep(() => text.text);
  title();
  dismiss("save");
}

// --- what the server says ---

function counted(number, answer) {
  state.marks.set(number, answer.marks);
  text?.forget(number);
  find("#title").textContent = answer.title;
  find("#about").textContent = answer.about;
  showFigures(find("#figures"), answer.figures, answer.beside);
  find("#beside").textContent = answer.beside ? (answer.beside.wrong ? `${answer.beside.name}: ${answer.beside.wrong}` : `below each figure: ${answer.beside.name}`) : "";
  showLights(find("#lights"), answer.lights);
  table.show(answer.heads, answer.rows, answer.left_rows);
  find("#changes").replaceChildren(
    ...answer.changes.map((change) => element("li", { class: change.status }, [element("b", {}, [change.name]), ` ${change.status}`, change.what && `: ${change.what}`])),
  );
  find("#notes").replaceChildren(...answer.notes.map((note) => element("li", {}, [note])));
  const command = find("#command");
  command.textContent = answer.command || "no flags say this: save it, and summarize the file";
  find("#copy").disabled = !answer.command;
  find("#copy").textContent = "Copy";
  if (number === (text?.number ?? 0)) {
    text?.mark(null);
    find("#mistake").textContent = "";
    document.body.classList.remove("stale");
  }
  // Once all that stands around it has its height: from then on the picture is drawn anew for another window alone.
  if (state.aspect === undefined) fit();
  document.body.dataset.counted = number;
}

function drawn(number, answer) {
  find("#no-picture").textContent = answer.note;
  if (!answer.note) {
    picture.show(answer);
    find("#legend").replaceChildren(...answer.legend.map(([kind, words]) => element("li", {}, [element("span", { class: kind }), words])));
    picture.mark(state.marks.get(number) ?? {});
    picture.choose(state.layers ?? []);
  }
  for (const older of state.marks.keys()) if (older < number) state.marks.delete(older);
  document.body.dataset.drawn = number;
}

function found(number, answer) {
  // Of a text before the last one that was counted: the same is asked of that, too.
  if (!text.knows(number)) return;
  state.layers = answer.layers;
  part.show(answer, number);
  text.choose(answer.place, number, state.shows);
  state.shows = false;
  table.choose(answer.path);
  picture.choose(answer.layers);
  if (state.opening && answer.role === "block") open(answer.path);
  state.opening = false;
}

// The last good picture and numbers stay.
function wrong(number, answer) {
  if (number !== text.number) return;
  text.mark(answer);
  const place = answer.place ? `line ${answer.place.line}: ` : "";
  const words = `${place}${answer.path ? `${answer.path}: ` : ""}${answer.fact}${answer.hint ? `. (${answer.hint})` : ""}`;
  // Of a long one the beginning; all of it is told at its place in the text, too.
  find("#mistake").replaceChildren(element("span", { title: words }, [words]));
  document.body.classList.add("stale");
  document.body.dataset.wrong = number;
}

function lost(reason) {
  state.ended = true;
  for (const id of ["save", "save-as", "restart", "other"]) find(`#${id}`).disabled = true;
  const why = reason || "the server has ended";
  if (!text) return notice("ended", `There is nothing to edit: ${why}.`, []);
  drafts.keepNow();
  document.body.classList.add("stale");
  notice("ended", `No more numbers: ${why}. The text is still here, and this browser keeps it. Start it again with: gnet-inspect serve ${hello.name}`, [
    ["Download the text", download],
    ["Copy it", (button) => copy(text.text, button)],
  ]);
}

function download() {
  const link = element("a", { href: URL.createObjectURL(new Blob([text.text], { type: "text/yaml" })), download: hello.name.endsWith("ml") ? hello.name : `${hello.name}.yaml` });
  link.click();
  URL.revokeObjectURL(link.href);
}

// --- what is chosen ---

const point = later(() => connection.say({ is: "select", ...text.cursor }), 150);

function choose(what) {
  point.stop();
  state.shows = true;
  connection.say({ is: "select", ...what });
}

function open(path) {
  look({ depth: state.view.depth === "layer" ? "block" : state.view.depth, opened: path });
}

function look(view) {
  state.view = view;
  for (const button of document.querySelectorAll("[data-depth]")) {
    button.setAttribute("aria-pressed", String(button.dataset.depth === view.depth && !view.opened));
  }
  find("#close").hidden = !view.opened;
  find("#close").textContent = `close ${view.opened}`;
  picture.whole();
  connection.say({ is: "view", ...view, aspect: state.aspect });
}

// Its columns are broken so that it fills its room.
function fit() {
  const { width, height } = find("#picture").getBoundingClientRect();
  const aspect = Math.round((10 * width) / Math.max(height, 1)) / 10;
  if (aspect === state.aspect) return;
  state.aspect = aspect;
  connection.say({ is: "view", ...state.view, aspect });
}

// --- the page ---

// One of each kind: a problem with saving does not take away what is offered besides.
function notice(kind, words, buttons) {
  const made = buttons.map(([label, act]) => {
    const button = element("button", { type: "button" }, [label]);
    button.addEventListener("click", () => act(button));
    return button;
  });
  dismiss(kind);
  find("#notices").append(element("div", { class: "notice", "data-kind": kind }, [element("p", {}, [words]), ...made]));
}

function dismiss(kind) {
  find(`.notice[data-kind="${kind}"]`)?.remove();
}

async function copy(words, button) {
  try {
    await navigator.clipboard.writeText(words);
    button.textContent = "Copied";
  } catch {
    button.textContent = "This browser lets no page copy";
  }
}

function later(act, wait) {
  let timer = 0;
  const stop = () => clearTimeout(timer);
  const start = () => {
    stop();
    timer = setTimeout(act, wait);
  };
  return { start, stop };
}

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}

const actions = {
  save,
  "save-as": saveAs,
  undo: () => text.undo(),
  redo: () => text.redo(),
  restart: () => connection.say({ is: "restart", text: text.text }),
  copy: () => copy(find("#command").textContent, find("#copy")),
  larger: () => picture.zoom(1.25),
  smaller: () => picture.zoom(0.8),
  whole: () => picture.whole(),
  close: () => look({ ...state.view, opened: "" }),
};
for (const [id, act] of Object.entries(actions)) find(`#${id}`).addEventListener("click", () => text && act());
for (const button of document.querySelectorAll("[data-depth]")) {
  button.addEventListener("click", () => look({ depth: button.dataset.depth, opened: "" }));
}
find("#other").addEventListener("change", ({ target }) => {
  const model = target.value.trim();
  const known = !model || hello.models.includes(model);
  target.setCustomValidity(known ? "" : `No model of the catalogue is called ${model}.`);
  target.reportValidity();
  connection.say({ is: "choose", model: known ? model : "" });
});
find("#theme").addEventListener("change", (event) => {
  theme(event.target.value);
  localStorage.setItem("gnet-inspect theme", event.target.value);
});
find("#theme").value = localStorage.getItem("gnet-inspect theme") ?? "";
theme(find("#theme").value);
find("#naming").addEventListener("close", (event) => {
  if (event.target.returnValue === "save") connection.say({ is: "save", text: text.text, name: find("#name").value.trim() });
});
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s" && !event.defaultPrevented) {
    event.preventDefault();
    if (event.shiftKey) saveAs();
    else save();
  }
});
addEventListener("pagehide", () => drafts && text && text.text !== state.saved && drafts.keepNow());
addEventListener("beforeunload", (event) => {
  if (text && text.text !== state.saved) event.preventDefault();
});
