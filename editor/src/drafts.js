// What was typed and not saved, kept by the browser: the server may end, and so may the tab.

const PREFIX = "gnet-inspect draft ";
const LATER = 300;

export class Drafts {
  // Each tab keeps its own; `failed` is called where the browser has no room, or forbids it.
  constructor(file, failed) {
    this.file = file;
    this.failed = failed;
    this.key = PREFIX + crypto.randomUUID();
    this.timer = 0;
  }

  // The last text that was left unsaved and is not what the file has, with the key that it is kept by; null for none.
  find(text) {
    try {
      const drafts = Object.entries(localStorage)
        .filter(([key]) => key.startsWith(PREFIX))
        .map(([key, value]) => ({ ...JSON.parse(value), key }))
        .filter((draft) => draft.file === this.file && draft.text !== text);
      return drafts.sort((one, other) => other.at - one.at)[0] ?? null;
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
    if (!this.read) return;
    try {
      localStorage.setItem(this.key, JSON.stringify({ file: this.file, text: this.read(), at: Date.now() }));
    } catch {
      this.failed();
    }
  }

  // Nothing is left to keep.
  drop() {
    clearTimeout(this.timer);
    this.read = undefined;
    this.forget(this.key);
  }

  forget(key) {
    try {
      localStorage.removeItem(key);
    } catch {
      // it was never kept
    }
  }
}
