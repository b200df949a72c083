// Steps through histories: one after the other, or by itself, with buttons and with keys.
//
// Rule: the moment is one for all charts: each shows what had happened by then.

import {make, mark, say} from "./elements.js";

const PACES = [["slow", 900], ["usual", 350], ["fast", 90]];

export class Stepper {
  #at = -1; #timer = null;

  /** `changed(atEnd)` is called after each step; `atEnd(chart)` says whether a chart shows all of its history. */
  constructor(charts, changed) {
    this.charts = charts;
    this.changed = changed;
    this.back = this.#button("‹", "One step back", () => this.#step(this.#at - 1));
    this.play = this.#button("Play", null, () => (this.#timer ? this.#pause() : this.#play()));
    this.next = this.#button("›", "One step on", () => this.#step(this.#at + 1));
    this.pace = make("select", {id: "pace", "aria-label": "How fast"}, ...PACES.map(([name, ms]) => make("option", {value: ms, text: name})));
    this.pace.value = PACES[1][1];
    this.routine = make("input", {type: "checkbox", id: "routine", onchange: () => this.#lay()});
    this.place = make("input", {type: "range", min: 0, step: 1, "aria-label": "Which moment", oninput: () => this.#step(Number(this.place.value))});
    this.words = make("p", {class: "note", "aria-live": "polite"});
    this.element = make("div", {class: "stepper", role: "group", "aria-label": "Play both histories", onkeydown: event => this.#keyed(event)},
      make("div", {class: "tools"}, this.back, this.play, this.next, this.pace,
        make("label", {class: "check", for: "routine"}, this.routine, " heartbeats and pings, too")),
      this.place, this.words,
      make("p", {class: "note"}, "With these in focus: ", make("kbd", {text: "Space"}), " plays and pauses, ", make("kbd", {text: "←"}), " ",
        make("kbd", {text: "→"}), " step, ", make("kbd", {text: "Home"}), " and ", make("kbd", {text: "End"}), " jump."));
  }

  #button(text, label, onclick) {
    return make("button", {type: "button", text, "aria-label": label, title: label, onclick});
  }

  #step(to) {
    this.#pause();
    this.#go(to);
  }

  begin() {
    this.#lay();
    this.#go(0);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.#play();
    this.play.focus({preventScroll: true});
  }

  #lay() {
    const now = this.moments?.[this.#at] ?? -Infinity;
    for (const chart of this.charts) chart.lay(this.routine.checked);
    this.moments = [...new Set(this.charts.flatMap(chart => chart.moments))].sort((one, other) => one - other);
    mark(this.place, "max", this.moments.length - 1);
    this.#at = -1;
    this.#go(Math.max(0, this.moments.findLastIndex(moment => moment <= now)));
  }

  #keyed(event) {
    const steps = {ArrowLeft: this.#at - 1, ArrowRight: this.#at + 1, Home: 0, End: this.moments.length - 1};
    if (event.target === this.pace || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === " " && event.target !== this.routine) {
      event.preventDefault();
      if (event.target === this.place || event.target.tagName === "BUTTON") this.play.click();
    } else if (event.key in steps) {
      event.preventDefault();
      this.#step(steps[event.key]);
    }
  }

  #play() {
    if (this.#at >= this.moments.length - 1) this.#go(0);
    const tick = () => {
      this.#go(this.#at + 1, true);
      this.#timer = this.#at < this.moments.length - 1 ? setTimeout(tick, Number(this.pace.value)) : null;
      say(this.play, this.#timer ? "Pause" : "Play");
    };
    this.#timer = setTimeout(tick, Number(this.pace.value));
    say(this.play, "Pause");
  }

  #pause() {
    clearTimeout(this.#timer);
    this.#timer = null;
    say(this.play, "Play");
  }

  #go(to, byItself = false) {
    const at = Math.max(0, Math.min(this.moments.length - 1, to));
    if (at === this.#at) return;
    this.#at = at;
    this.place.value = at;
    const moment = this.moments[at];
    for (const chart of this.charts) chart.showUntil(moment);
    const said = this.charts[0].lastSaid;
    mark(this.words, "aria-live", byItself ? "off" : "polite");
    say(this.words, `Moment ${at + 1} of ${this.moments.length}${said ? `: ${said}` : ""}`);
    this.changed(chart => chart.isWhole);
  }
}
