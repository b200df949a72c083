// Which part of the past is shown, and how one moves in it: buttons, keys, wheel, drag. `painting.js` draws it.
//
// Rule 1: live, the right edge is now. Whoever looks back pauses that; "Go live" returns.
// Rule 2: the wheel scrolls the page, as everywhere, until the timeline has the focus.
// Rule 3: what the picture shows is there in words too: a summary for screen readers, a table of the changes.

import {byId, make, mark, say, table} from "./elements.js";
import {Painting} from "./painting.js";
import {cause, duration, exactTime, inWords, micros, number, timeOfDay} from "./wording.js";

const SPANS_MS = [2000, 5000, 10000, 30000, 60000, 120000, 300000, 900000];
const CALM_MS = 1000, LIVE_MS = 33, SUMMARY_MS = 2000;

export class Timeline {
  #span = 60000; #end = 0; #live = true; #drawn = 0; #of = -1; #summarized = 0; #pointer = null; #changesOf = ""; #dirty = true;

  constructor() {
    this.holder = byId("timeline-drawing");
    this.painting = new Painting(this.holder);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    const button = (text, label, onclick) => make("button", {type: "button", text, "aria-label": label, onclick});
    this.liveButton = button("Pause", null, () => this.#setLive(!this.#live));
    this.failoverButton = button("Last failover", "Show the last failover closely", () => this.#showFailover());
    this.words = make("span", {class: "soft"});
    byId("timeline-tools").append(this.liveButton, button("‹", "Earlier", () => this.#move(-.4)), button("›", "Later", () => this.#move(.4)),
      button("+", "Closer", () => this.#zoom(-1)), button("−", "Wider", () => this.#zoom(1)), this.failoverButton, this.words);
    this.changes = table("Every change of the view, the newest first", ["when", {text: "epoch", number: true}, "leads", "in sync",
      {text: "no call answered for", number: true}, "cause", "why"].map(head => (typeof head === "string" ? {text: head} : head)));
    byId("history-table").append(this.changes.element);
    const key = [["primary", "leads"], ["standby", "standby"], ["joining", "joining, or believes it leads"], ["paused", "paused"],
      ["gone", "gone or silent"], ["gap", "no call was answered"]];
    byId("timeline-key").append(...key.map(([name, words]) => make("li", {}, make("i", {class: name, "aria-hidden": "true"}), words)));
    this.#listen();
  }

  #listen() {
    this.holder.addEventListener("keydown", event => this.#keyed(event));
    this.holder.addEventListener("wheel", event => this.#wheeled(event), {passive: false});
    this.holder.addEventListener("pointerdown", event => this.#grabbed(event));
    this.holder.addEventListener("pointermove", event => { this.#pointer = event.offsetX; this.#dirty = true; });
    this.holder.addEventListener("pointerleave", () => { this.#pointer = null; this.#dirty = true; });
    new ResizeObserver(() => { this.#dirty = true; }).observe(this.holder);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.painting.forgetColours(); this.#dirty = true; });
  }

  #keyed(event) {
    const does = {
      "+": () => this.#zoom(-1), "=": () => this.#zoom(-1), "-": () => this.#zoom(1), ArrowLeft: () => this.#move(-.15),
      ArrowRight: () => this.#move(.15), PageUp: () => this.#move(-.9), PageDown: () => this.#move(.9),
      " ": () => this.#setLive(!this.#live), End: () => this.#setLive(true), Home: () => this.#move(-1000),
    }[event.key];
    if (!does || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    does();
  }

  #wheeled(event) {
    if (document.activeElement !== this.holder) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.#move(event.deltaX / 600);
    else this.#zoom(Math.sign(event.deltaY), this.painting.timeAt(event.offsetX));
  }

  #grabbed(event) {
    if (event.button !== 0) return;
    const from = event.clientX, end = this.#end, moved = event => {
      if (Math.abs(event.clientX - from) < 4 && this.#live) return;
      this.#setLive(false);
      this.#end = end - (event.clientX - from) / this.painting.plotWidth * this.#span;
      this.#dirty = true;
    };
    this.holder.setPointerCapture(event.pointerId);
    this.holder.addEventListener("pointermove", moved);
    const over = () => this.holder.removeEventListener("pointermove", moved);
    this.holder.addEventListener("pointerup", over, {once: true});
    this.holder.addEventListener("pointercancel", over, {once: true});
  }

  #setLive(live) {
    this.#live = live;
    say(this.liveButton, live ? "Pause" : "Go live");
    mark(this.liveButton, "class", live ? null : "main");
    this.#dirty = true;
  }

  #move(share) {
    this.#setLive(false);
    this.#end += share * this.#span;
    this.#dirty = true;
  }

  #zoom(steps, around = null) {
    const at = SPANS_MS.findIndex(span => span >= this.#span);
    const span = SPANS_MS[Math.max(0, Math.min(SPANS_MS.length - 1, at + steps))];
    if (!this.#live) {
      const fixed = around ?? this.#end - this.#span / 2;
      this.#end = fixed + (this.#end - fixed) * span / this.#span;
    }
    this.#span = span;
    this.#dirty = true;
  }

  #showFailover() {
    const view = this.lastFailover;
    if (!view) return;
    this.#setLive(false);
    this.#span = Math.max(2000, SPANS_MS.find(span => span > (view.took_ms ?? 500) * 3) ?? 10000);
    this.#end = (view.changed_ms ?? view.t) + this.#span * .45;
  }

  render(model, now) {
    const pace = this.still.matches || this.#span > 120000 ? CALM_MS : Math.max(LIVE_MS, this.#span / 1600);
    const moves = this.#live || this.#of !== model.version;
    if (!this.#dirty && !(moves && now - this.#drawn >= pace)) return;
    if (!model.hello || document.hidden) return;
    if (this.#live) this.#end = Math.max(now, model.newest);
    else this.#keepInside(model, now);
    this.#dirty = false;
    this.#drawn = now;
    this.#of = model.version;
    this.painting.paint(model, {from: this.#end - this.#span, until: this.#end, now, pointer: this.#pointer});
    this.#tell(model, now);
  }

  #keepInside(model, now) {
    const first = model.oldest ?? now;
    this.#end = Math.min(Math.max(now, model.newest), Math.max(first + this.#span, this.#end));
  }

  #tell(model, now) {
    this.lastFailover = model.views.findLast(view => view.before && view.before !== view.primary);
    mark(this.failoverButton, "aria-disabled", this.lastFailover ? null : "true");
    mark(this.failoverButton, "title", this.lastFailover ? null : "There was none yet.");
    const span = this.#span < 60000 ? `${this.#span / 1000} s` : `${this.#span / 60000} min`;
    say(this.words, this.#live ? `the last ${span}` : `${span}, until ${timeOfDay(this.#end)}`);
    say(byId("timeline-readout"), this.#pointer === null ? " " : this.#readout(model));
    if (now - this.#summarized < SUMMARY_MS) return;
    this.#summarized = now;
    mark(this.painting.canvas, "aria-label", this.#summary(model));
    this.#fillChanges(model.views);
  }

  #readout(model) {
    const t = this.painting.timeAt(this.#pointer);
    if (t === null) return " ";
    const roles = [...model.lanes].map(([name, spans]) => {
      const span = spans.findLast(span => span.from <= t);
      return span ? `${name} ${inWords(span.standing)}` : null;
    }).filter(Boolean);
    const rate = model.rates.findLast(rate => rate.from_ms <= t && t < rate.t + 50);
    const calls = rate ? `${number(rate.done * 1000 / Math.max(1, rate.t - rate.from_ms))} done/s, median ${micros(rate.median_us)}, p99 ${micros(rate.p99_us)}` : "no calls";
    return `${exactTime(t)} · ${roles.join(", ")} · ${calls}`;
  }

  #summary(model) {
    const shown = model.views.filter(view => (view.changed_ms ?? view.t) > this.#end - this.#span);
    const faults = model.faultsSince(this.#end - this.#span).length;
    return `Timeline of ${duration(this.#span)} until ${timeOfDay(this.#end)}: ${shown.length} changes of the view, ${faults} faults. ` +
      "The table below lists every change.";
  }

  #fillChanges(views) {
    if (!byId("history").open) return;
    const key = JSON.stringify(views.slice(-1)) + views.length;
    if (key === this.#changesOf) return;
    this.#changesOf = key;
    this.changes.fill(views.slice(-100).reverse().map(view => ({texts: [exactTime(view.changed_ms ?? view.t), number(view.epoch), view.primary,
      view.in_sync.join(", "), duration(view.took_ms), cause(view.cause_kind), view.why ?? ""]})));
  }
}
