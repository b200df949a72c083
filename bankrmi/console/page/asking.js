// Asks the console to do something: POST /do/NAME, with the token that the terminal printed.
//
// Rule 1: the token lives in this module's memory only. It comes in the address (#token=…), which is cleared at
//         once: a projector shows the address bar, and the browser's history keeps it.
// Rule 2: whatever goes wrong comes back as one sentence, never as an exception.

export class Asking {
  #token = "";

  /** `changed()` is called whenever there is a token, or none any more. */
  constructor(changed) {
    this.changed = changed;
    this.#readAddress();
    addEventListener("hashchange", () => this.#readAddress());
  }

  #readAddress() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!token) return;
    history.replaceState(null, "", location.pathname + location.search);
    this.use(token);
  }

  get hasToken() { return this.#token !== ""; }

  use(token) {
    this.#token = token.trim();
    this.changed();
  }

  /** Return {ok: true, …answer} or {ok: false, error: sentence}. */
  async ask(name, body) {
    let response;
    try {
      response = await fetch(`/do/${name}`, {
        method: "POST",
        headers: {"Content-Type": "application/json", "Authorization": `Bearer ${this.#token}`},
        body: JSON.stringify(body),
      });
    } catch {
      return {ok: false, error: "The console did not answer. Whether it was done is not known; look at the timeline."};
    }
    const answer = await response.json().catch(() => ({}));
    if (response.status === 401 || response.status === 403) {
      if (response.status === 401) this.use("");
      return {ok: false, error: answer.error ?? "The console refused: is this the token it printed last?"};
    }
    if (!response.ok) return {ok: false, error: answer.error ?? `The console answered ${response.status}.`};
    return {ok: true, ...answer};
  }
}
