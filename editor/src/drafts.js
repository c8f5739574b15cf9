// What was typed and not saved, kept by the browser: the server may end, and so may the tab.

const PREFIX = "gnet-inspect draft ";
const LATER = 300;

export class Drafts {
  constructor(file) {
    this.key = PREFIX + file;
    this.timer = 0;
  }

  // The text that was left unsaved, unless it is what the file has.
  find(text) {
    try {
      const draft = JSON.parse(localStorage.getItem(this.key) ?? "null");
      return draft && draft.text !== text ? draft : null;
    } catch {
      return null;
    }
  }

  keep(read) {
    this.read = read;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keepNow(), LATER);
  }

  keepNow() {
    clearTimeout(this.timer);
    if (!this.read) return true;
    try {
      localStorage.setItem(this.key, JSON.stringify({ text: this.read(), at: Date.now() }));
      return true;
    } catch {
      return false; // no room, or forbidden: the page says that it keeps nothing
    }
  }

  drop() {
    clearTimeout(this.timer);
    this.read = undefined;
    try {
      localStorage.removeItem(this.key);
    } catch {
      // it was never kept
    }
  }
}
