// Listens to the console's events, and says when the console is gone.
//
// Rule 1: after a loss it opens the stream anew by itself, later and later up to a few seconds; a click tries at once.
// Rule 2: silence is a loss too: the server says something every 5 seconds, but a browser does not tell a page
//         of comments. So a stream that has told nothing for long is asked with a plain request.

const PAUSES_MS = [250, 500, 1000, 2000, 4000];
const ASKED_AFTER_MS = 15000;

export class Stream {
  #source = null;
  #tries = 0;
  #timer = null;
  #told = 0;

  /** `take(event)` is given every event, `changed(condition)` each {connected, nextTryMs}. */
  constructor({take, changed}) {
    this.take = take;
    this.changed = changed;
    this.connected = false;
    setInterval(() => this.#ask(), ASKED_AFTER_MS / 3);
  }

  open() {
    clearTimeout(this.#timer);
    this.#source?.close();
    const source = new EventSource("/events");
    this.#source = source;
    source.onopen = () => {
      this.#tries = 0;
      this.#told = performance.now();
      this.connected = true;
      this.changed({connected: true});
    };
    source.onmessage = message => {
      this.#told = performance.now();
      this.take(JSON.parse(message.data));
    };
    source.onerror = () => this.#lost(source);
  }

  #lost(source) {
    if (source !== this.#source) return;
    source.close();
    this.connected = false;
    const pause = PAUSES_MS[Math.min(this.#tries++, PAUSES_MS.length - 1)];
    this.#timer = setTimeout(() => this.open(), pause);
    this.changed({connected: false, nextTryMs: pause});
  }

  async #ask() {
    const source = this.#source;
    if (!this.connected || performance.now() - this.#told < ASKED_AFTER_MS) return;
    try {
      await fetch("/page/icon.svg", {cache: "no-store", signal: AbortSignal.timeout(4000)});
      this.#told = performance.now();
    } catch {
      this.#lost(source);
    }
  }
}
