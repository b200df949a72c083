// Says whether the page hears from the console; and when it does not, how old is what is seen here.

import {byId, make, mark, say} from "./elements.js";
import {timeOfDay} from "./wording.js";

export class Banner {
  #since = null; #nextTry = 0; #everConnected = false;

  /** `tryNow()` opens the stream at once; `headline` has the live region. */
  constructor(tryNow, headline) {
    this.headline = headline;
    this.words = make("span");
    this.when = make("span", {class: "soft"});
    byId("banner").append(make("strong", {text: "The console is gone. "}), this.words, " ", this.when,
      make("button", {type: "button", text: "Try now", onclick: tryNow}));
  }

  changed({connected, nextTryMs}) {
    if (connected) {
      if (this.#since !== null && this.#everConnected) this.headline.announce("The console is back.");
      this.#since = null;
      this.#everConnected = true;
    } else {
      this.#nextTry = Date.now() + nextTryMs;
      if (this.#since === null) {
        this.#since = Date.now();
        if (this.#everConnected) this.headline.announce("The console is gone. What is shown here is old.");
      }
    }
    byId("banner").hidden = connected;
    mark(byId("connection"), "data-tone", connected ? "good" : "bad");
    say(byId("connection"), connected ? "live" : "not connected");
    mark(document.body, "data-stale", connected ? null : true);
  }

  render(now) {
    if (this.#since === null) return;
    say(this.words, this.#everConnected
      ? `What you see is from ${timeOfDay(this.#since)}. The bank may be well: this page only watches. Start it again with bankrmi console.`
      : "Nothing has been heard of it yet. Is bankrmi console still running?");
    const left = this.#nextTry - now;
    say(this.when, left > 999 ? `Next try in ${Math.ceil(left / 1000)} s.` : "Trying …");
  }
}
