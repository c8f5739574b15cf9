// The text: CodeMirror, with words to complete and mistakes from the server.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, snippet } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab, redo, redoDepth, undo, undoDepth } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { diagnosticCount, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, StateEffect, StateField, Transaction } from "@codemirror/state";
import { Decoration, EditorView, drawSelection, dropCursor, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const COLORS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--code-key)" },
  { tag: [tags.string, tags.content], color: "var(--code-text)" },
  { tag: tags.comment, color: "var(--code-comment)", fontStyle: "italic" },
  { tag: [tags.keyword, tags.labelName, tags.typeName], color: "var(--code-word)" },
  { tag: [tags.punctuation, tags.separator, tags.bracket, tags.squareBracket, tags.brace], color: "var(--code-mark)" },
]);

// The lines of the chosen part, which stay its own while the text around them changes.
const choose = StateEffect.define();
const chosen = StateField.define({
  create: () => Decoration.none,
  update(lines, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(choose)) return Decoration.set(effect.value.map((from) => Decoration.line({ class: "cm-chosen" }).range(from)));
    }
    return lines.map(transaction.changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});

// What is typed over a selection: left to itself, a browser gives it the style of what it takes the place of, in an
// attribute, which the policy of the page forbids.
function typeOver(event, view) {
  const { from, to, empty } = view.state.selection.main;
  if (event.inputType !== "insertText" || !event.data || empty || event.isComposing) return false;
  const insert = () => view.state.update(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
  const handlers = view.state.facet(EditorView.inputHandler);
  if (!handlers.some((handle) => handle(view, from, to, event.data, insert))) view.dispatch(insert());
  event.preventDefault();
  return true;
}

// Python counts characters, a browser halves of some of them.
export function characters(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function unitsOf(text, count) {
  let units = 0;
  for (const character of text) {
    if (count-- <= 0) break;
    units += character.length;
  }
  return units;
}

export class Text {
  constructor(parent, { text, nonce, complete, changed, moved, save, saveAs }) {
    // The number of the last edit.
    this.number = 0;
    const source = async (context) => {
      const word = context.matchBefore(/[$\w.-]+/);
      if (!word && !context.explicit && !/[{[,:]\s$|^\s*$/.test(lineBefore(context))) return null;
      // There are no words for a number, and it is what is typed most.
      if (word && !context.explicit && /^-?[\d.]+$/.test(word.text)) return null;
      const before = context.state.sliceDoc(0, context.pos);
      const found = await complete(context.state.doc.toString(), characters(before));
      if (!found || !found.options?.length || context.aborted) return null;
      return {
        from: context.pos - found.replaced,
        options: found.options.map(optionOf),
        validFor: /^[$\w.-]*$/,
      };
    };
    this.view = new EditorView({
      parent,
      state: EditorState.create({
        doc: text,
        extensions: [
          EditorView.cspNonce.of(nonce),
          lineNumbers(),
          foldGutter(),
          lintGutter(),
          highlightSpecialChars(),
          history(),
          drawSelection(),
          dropCursor(),
          indentOnInput(),
          indentUnit.of("  "),
          bracketMatching(),
          closeBrackets(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          highlightSelectionMatches(),
          EditorState.tabSize.of(2),
          chosen,
          yaml(),
          syntaxHighlighting(COLORS),
          autocompletion({ override: [source], activateOnTypingDelay: 60 }),
          EditorView.domEventHandlers({ beforeinput: typeOver }),
          EditorView.contentAttributes.of({ "aria-label": "the spec as YAML", "aria-describedby": "keys", tabindex: "0" }),
          keymap.of([
            { key: "Mod-s", preventDefault: true, run: () => (save(), true) },
            { key: "Mod-Shift-s", preventDefault: true, run: () => (saveAs(), true) },
            ...closeBracketsKeymap,
            ...defaultKeymap,
            ...searchKeymap,
            ...historyKeymap,
            ...foldKeymap,
            ...completionKeymap,
            ...lintKeymap,
            indentWithTab,
          ]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) {
              this.versions.at(-1).changes = update.changes;
              this.versions.push({ number: ++this.number, doc: update.state.doc });
              changed(update);
            } else if (update.selectionSet) moved();
          }),
        ],
      }),
    });
    // Its room becomes smaller where a mistake is told: the line that is typed in stays in sight.
    new ResizeObserver(() => this.view.hasFocus && this.view.dispatch({ effects: EditorView.scrollIntoView(this.view.state.selection.main) })).observe(parent);
    // The texts that the server may still speak of, each with the changes that made the next one of it.
    this.versions = [{ number: 0, doc: this.view.state.doc }];
  }

  // The server speaks of no text before that of an edit any more.
  forget(number) {
    while (this.versions.length > 1 && this.versions[0].number < number) this.versions.shift();
  }

  knows(number) {
    return this.versions.some((version) => version.number === number);
  }

  get text() {
    return this.view.state.doc.toString();
  }

  // Another text in its place: one step to undo.
  replace(text) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
  }

  write(from, to, insert) {
    this.view.dispatch({
      changes: { from, to, insert },
      annotations: Transaction.userEvent.of("input.step"),
    });
  }

  undo() {
    undo(this.view);
  }

  redo() {
    redo(this.view);
  }

  get canUndo() {
    return undoDepth(this.view.state) > 0;
  }

  get canRedo() {
    return redoDepth(this.view.state) > 0;
  }

  // The cursor as Python counts: line and column from 1.
  get cursor() {
    const { head } = this.view.state.selection.main;
    const line = this.view.state.doc.lineAt(head);
    return { line: line.number, column: characters(line.text.slice(0, head - line.from)) + 1 };
  }

  // Where a place in the text of an edit is now, as offsets; null where there is none.
  offsets(place, number) {
    const first = this.versions.findIndex((version) => version.number === number);
    if (first < 0) return null;
    const { doc } = this.versions[first];
    if (place.line > doc.lines || place.end_line > doc.lines) return null;
    const at = (number, column) => {
      const line = doc.line(number);
      return Math.min(line.from + unitsOf(line.text, column - 1), line.to);
    };
    let from = at(place.line, place.column);
    let to = Math.max(at(place.end_line, place.end_column), from);
    for (const { changes } of this.versions.slice(first, -1)) [from, to] = [changes.mapPos(from, -1), changes.mapPos(to, 1)];
    return { from, to };
  }

  // What is wrong with the text, where it is; null for nothing.
  mark(wrong) {
    const diagnostics = [];
    if (!wrong && !diagnosticCount(this.view.state)) return;
    if (wrong) {
      const found = (wrong.place && this.offsets(wrong.place, this.number)) ?? { from: 0, to: 0 };
      const message = wrong.hint ? `${wrong.fact}. (${wrong.hint})` : wrong.fact;
      diagnostics.push({ ...found, severity: "error", message, source: wrong.path || undefined });
    }
    this.view.dispatch(setDiagnostics(this.view.state, diagnostics));
  }

  // Mark the lines of a place in the text of an edit, and bring them into sight where that is asked for.
  choose(place, number, scrolls) {
    const found = place && this.offsets(place, number);
    const { doc } = this.view.state;
    const lines = [];
    if (found) for (let at = found.from; at <= found.to && lines.length < 500; at = doc.lineAt(at).to + 1) lines.push(doc.lineAt(at).from);
    const effects = [choose.of(lines)];
    if (found && scrolls) effects.push(EditorView.scrollIntoView(found.from, { y: "center" }));
    this.view.dispatch({ effects });
  }
}

function lineBefore(context) {
  const line = context.state.doc.lineAt(context.pos);
  return line.text.slice(0, context.pos - line.from);
}

const KINDS = { key: "property", block: "class", class: "class", value: "enum", parameter: "variable", layer: "constant" };

function optionOf(option) {
  // Where arguments are to be given, the cursor goes to the first of them.
  const template = option.insert.replace(/: (?=[,}])/g, ": ${}");
  return {
    label: option.label,
    type: KINDS[option.kind],
    detail: option.detail.length > 60 ? `${option.detail.slice(0, 57)}...` : option.detail,
    apply: template === option.insert ? option.insert : snippet(template),
  };
}
