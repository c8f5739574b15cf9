// The socket to the server: messages as JSON; questions that have an answer of their own are promises.

export class Connection {
  constructor(receive, lost) {
    this.receive = receive;
    this.waiting = new Map();
    this.questions = 0;
    this.lost = lost;
    const address = new URL("tab", location.href);
    address.protocol = "ws:";
    this.socket = new WebSocket(address);
    this.socket.addEventListener("message", (event) => this.meet(JSON.parse(event.data)));
    this.socket.addEventListener("close", (event) => this.end(event.reason));
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  say(message) {
    if (this.isOpen) this.socket.send(JSON.stringify(message));
  }

  // A question is numbered below zero, an edit above.
  ask(message) {
    if (!this.isOpen) return Promise.resolve(null);
    const number = --this.questions;
    this.say({ ...message, number });
    return new Promise((resolve) => this.waiting.set(number, resolve));
  }

  meet(message) {
    const resolve = this.waiting.get(message.number);
    if (resolve) {
      this.waiting.delete(message.number);
      resolve(message.answer);
    } else {
      this.receive(message);
    }
  }

  end(reason) {
    for (const resolve of this.waiting.values()) resolve(null);
    this.waiting.clear();
    this.lost(reason);
  }
}
