// What was typed and not saved, kept by the browser: the server may end, and so may the tab.

const PREFIX = "gnet-inspect draft ";
const LATER = 300;

export class Drafts {
  // `failed` is called where the browser has no room, or forbids it.
  constructor(file, failed) {
    this.key = PREFIX + file;
    this.failed = failed;
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
    if (!this.read) return;
    try {
      this.kept = JSON.stringify({ text: this.read(), at: Date.now() });
      localStorage.setItem(this.key, this.kept);
    } catch {
      this.failed();
    }
  }

  // What was kept here; another tab's draft stays.
  drop() {
    clearTimeout(this.timer);
    this.read = undefined;
    this.remove(this.kept);
  }

  // A draft that was found, whoever kept it.
  forget(draft) {
    this.remove(JSON.stringify(draft));
  }

  remove(kept) {
    try {
      if (kept && localStorage.getItem(this.key) === kept) localStorage.removeItem(this.key);
    } catch {
      // it was never kept
    }
  }
}
