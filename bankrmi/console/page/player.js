// The play head of a recording: where it is, whether it moves, and how fast.
//
// Rule: it knows time only. What the bank was like then, `replay.js` finds out.

import {make} from "./elements.js";

const SPEEDS = [.1, .25, 1, 4, 20];

export class Player {
  #speed = 1; #at = 0;

  /** `moved()` is called whenever the head is elsewhere. */
  constructor(from, until, moved) {
    this.from = from;
    this.until = until;
    this.cursor = until;
    this.isPlaying = false;
    this.moved = false;
    this.tell = moved;
    const options = SPEEDS.map(speed => make("option", {value: speed, text: `${speed}×`, selected: speed === 1}));
    const choice = make("select", {id: "speed", onchange: event => { this.#speed = Number(event.target.value); }}, ...options);
    this.speeds = make("label", {class: "speed", for: "speed"}, make("span", {class: "unseen", text: "How fast"}), choice);
  }

  /** Begin where the head is; at the end, from the beginning. */
  toggle() {
    this.isPlaying = !this.isPlaying;
    if (this.isPlaying && this.cursor >= this.until) this.cursor = this.from;
    this.#at = performance.now();
    this.tell();
  }

  seek(t) {
    this.cursor = Math.min(this.until, Math.max(this.from, t));
    this.moved = true;
    this.tell();
  }

  /** Let the time pass that has passed; `now` as of performance.now(). */
  tick(now) {
    if (!this.isPlaying) return;
    this.cursor = Math.min(this.until, this.cursor + Math.min(1000, now - this.#at) * this.#speed);
    this.#at = now;
    this.moved = true;
    if (this.cursor >= this.until) this.isPlaying = false;
    this.tell();
  }
}
