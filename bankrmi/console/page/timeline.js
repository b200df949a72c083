// Which part of the past is shown, and how one moves in it: buttons, keys, wheel, drag. `painting.js` draws it.
//
// Rule 1: live, the right edge is now. Whoever looks back pauses that; "Go live" returns. A recording has a beginning
//         and an end, and a play head (`player.js`) where the live page has "now".
// Rule 2: the wheel scrolls the page, as everywhere, until the timeline has the focus.
// Rule 3: what the picture shows is there in words too: a summary for screen readers, a table of the changes.

import {MOST_ROWS, byId, make, mark, say, table} from "./elements.js";
import {failoversOf, faultsWithin} from "./figures.js";
import {Painting} from "./painting.js";
import {operations, perSecond, placeOf} from "./rates.js";
import {cause, duration, exactTime, inWords, micros, number, timeOfDay} from "./wording.js";

const SPANS_MS = [500, 1000, 2000, 5000, 10000, 30000, 60000, 120000, 300000, 900000, 1800000, 3600000, 10800000, 43200000, 86400000];
const LIVE_AT_MOST_MS = 900000;
const CALM_MS = 1000, LIVE_MS = 33, SUMMARY_MS = 2000, CLICK = 4;

export class Timeline {
  #span = 60000; #end = 0; #live; #drawn = 0; #of = -1; #summarized = 0; #pointer = null; #chosen = null; #changesOf = ""; #dirty = true;
  #first = 0; #last = 0;

  /** `player`: of a recording. */
  constructor({player = null} = {}) {
    this.player = player;
    this.#live = player === null;
    this.holder = byId("timeline-drawing");
    this.painting = new Painting(this.holder);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    const button = (text, label, onclick) => make("button", {type: "button", text, "aria-label": label, onclick});
    this.liveButton = player ? button("Play", null, () => player.toggle()) : button("Pause", null, () => this.#setLive(!this.#live));
    this.failoverButtons = player
      ? [button("Failover before", "Show the failover before the play head", () => this.#toFailover(-1)), button("Next failover", "Show the failover after the play head", () => this.#toFailover(1))]
      : [button("Last failover", "Show the last failover closely", () => this.#lookAtFailover(failoversOf(this.model).at(-1)))];
    this.words = make("span", {class: "soft"});
    byId("timeline-tools").append(this.liveButton, ...(player ? [player.speeds] : []), ...(player ? [button("Whole", "The whole recording", () => this.#showWhole())] : []),
      button("‹", "Earlier", () => this.#move(-.4)), button("›", "Later", () => this.#move(.4)),
      button("+", "Closer", () => this.#zoom(-1)), button("−", "Wider", () => this.#zoom(1)), ...this.failoverButtons, this.words);
    this.changes = table("Every change of the view, the newest first", ["when", {text: "epoch", number: true}, "leads", "in sync",
      {text: "no call answered for", number: true}, "cause", "why"].map(head => (typeof head === "string" ? {text: head} : head)));
    byId("history-table").append(this.changes.element);
    this.#listen();
  }

  #listen() {
    this.holder.addEventListener("keydown", event => this.#keyed(event));
    this.holder.addEventListener("wheel", event => this.#wheeled(event), {passive: false});
    this.holder.addEventListener("pointerdown", event => this.#grabbed(event));
    this.holder.addEventListener("pointermove", event => { this.#pointer = event.offsetX; this.#dirty = true; });
    this.holder.addEventListener("pointerleave", () => { this.#pointer = null; this.#dirty = true; });
    this.holder.addEventListener("dblclick", () => (this.player ? this.#showWhole() : this.#setLive(true)));
    new ResizeObserver(() => { this.#dirty = true; }).observe(this.holder);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.painting.forgetColours(); this.#dirty = true; });
  }

  #keyed(event) {
    const does = {
      "+": () => this.#zoom(-1), "=": () => this.#zoom(-1), "-": () => this.#zoom(1), ArrowLeft: () => this.#move(-.15),
      ArrowRight: () => this.#move(.15), PageUp: () => this.#move(-.9), PageDown: () => this.#move(.9), Home: () => this.#move(-1e6),
      " ": () => (this.player ? this.player.toggle() : this.#setLive(!this.#live)),
      End: () => (this.player ? this.#move(1e6) : this.#setLive(true)), "0": () => this.player && this.#showWhole(),
      n: () => this.player && this.#toFailover(1), p: () => this.player && this.#toFailover(-1),
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

  /** A drag looks back; with Shift it chooses what to look at closely; without a move it places the play head. */
  #grabbed(event) {
    if (event.button !== 0) return;
    const from = event.clientX, end = this.#end, at = this.painting.timeAt(event.offsetX), chooses = event.shiftKey;
    let moved = false;
    const move = event => {
      if (!moved && Math.abs(event.clientX - from) < CLICK) return;
      moved = true;
      if (chooses) this.#chosen = [at, this.painting.timeAt(event.offsetX) ?? at];
      else {
        this.#setLive(false);
        this.#end = end - (event.clientX - from) / this.painting.plotWidth * this.#span;
      }
      this.#dirty = true;
    };
    this.holder.setPointerCapture(event.pointerId);
    this.holder.addEventListener("pointermove", move);
    const over = () => {
      this.holder.removeEventListener("pointermove", move);
      if (this.#chosen) this.look(Math.min(...this.#chosen), Math.max(...this.#chosen), 0);
      else if (!moved && this.player && at !== null) this.player.seek(at);
      this.#chosen = null;
      this.#dirty = true;
    };
    this.holder.addEventListener("pointerup", over, {once: true});
    this.holder.addEventListener("pointercancel", over, {once: true});
  }

  #setLive(live) {
    if (this.player) return;
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

  get #longest() { return this.player ? Math.max(500, this.#last - this.#first) : LIVE_AT_MOST_MS; }

  #zoom(steps, around = null) {
    const spans = [...SPANS_MS.filter(span => span < this.#longest), this.#longest];
    const at = Math.max(0, spans.findIndex(span => span >= this.#span));
    const span = spans[Math.max(0, Math.min(spans.length - 1, at + steps))];
    if (!this.#live) {
      const fixed = around ?? this.#end - this.#span / 2;
      this.#end = fixed + (this.#end - fixed) * span / this.#span;
    }
    this.#span = span;
    this.#dirty = true;
  }

  #showWhole() {
    this.#span = this.#longest;
    this.#end = this.#last;
    this.#dirty = true;
  }

  /** Show a stretch, with some room around it. */
  look(from, until, around = .6) {
    this.#setLive(false);
    this.#span = Math.min(this.#longest, Math.max(500, (until - from) * (1 + 2 * around)));
    this.#end = (from + until) / 2 + this.#span / 2;
    this.#dirty = true;
  }

  #lookAtFailover(failover) {
    if (failover) this.look(failover.since_ms, failover.since_ms + Math.max(failover.took_ms ?? 0, 700));
  }

  /** The failover before, or after, where the play head is. */
  #toFailover(direction) {
    const all = failoversOf(this.model), at = this.player.cursor;
    const found = direction > 0 ? all.find(failover => failover.since_ms > at + 1) : all.findLast(failover => failover.since_ms < at - 1);
    if (!found) return;
    this.player.seek(found.since_ms);
    this.#lookAtFailover(found);
  }

  render(model, now) {
    this.model = model;
    const pace = this.still.matches || (this.#live && this.#span > 120000) ? CALM_MS : Math.max(LIVE_MS, Math.min(CALM_MS, this.#span / 1600));
    const moves = this.#live || this.player?.isPlaying || this.#of !== model.version;
    if (!this.#dirty && !(moves && now - this.#drawn >= pace)) return;
    if (!model.hello || document.hidden) return;
    const begins = this.#last === 0;
    this.#first = model.oldest ?? now;
    this.#last = this.player ? model.newest : Math.max(now, model.newest);
    if (begins && this.player) this.#showWhole();
    if (this.#live) this.#end = this.#last;
    else this.#keepInside();
    this.#dirty = false;
    this.#drawn = now;
    this.#of = model.version;
    this.painting.paint(model, {from: this.#end - this.#span, until: this.#end, now: this.player ? model.newest : now, pointer: this.#pointer,
      cursor: this.player?.cursor ?? null, chosen: this.#chosen, links: "all"});
    this.#tell(model, now);
  }

  #keepInside() {
    if (this.player?.isPlaying && this.player.moved) {
      const {cursor} = this.player;
      if (cursor > this.#end || cursor < this.#end - this.#span) this.#end = cursor + this.#span * .9;
    }
    this.#end = Math.min(this.#last, Math.max(this.#first + this.#span, this.#end));
  }

  /** What has to be drawn again though no event came: the play head has moved. */
  touch() { this.#dirty = true; }

  #tell(model, now) {
    const failovers = failoversOf(model);
    for (const button of this.failoverButtons) {
      mark(button, "aria-disabled", failovers.length ? null : "true");
      mark(button, "title", failovers.length ? null : this.player ? "There was none." : "There was none yet.");
    }
    if (this.player) say(this.liveButton, this.player.isPlaying ? "Pause" : "Play");
    say(this.words, this.#live ? `the last ${duration(this.#span)}` : `${exactTime(this.#end - this.#span, 1)} to ${exactTime(this.#end, 1)}`);
    say(byId("timeline-readout"), this.#pointer === null ? " " : this.#readout(model));
    if (now - this.#summarized < SUMMARY_MS) return;
    this.#summarized = now;
    mark(this.painting.canvas, "aria-label", this.#summary(model));
    this.#fillChanges(model.views);
    keyOf(model);
  }

  #readout(model) {
    const t = this.painting.timeAt(this.#pointer);
    if (t === null) return " ";
    const roles = [...model.lanes].map(([name, spans]) => {
      const span = spans.findLast(span => span.from <= t);
      return span ? `${name} ${inWords(span.standing)}${span.epoch ? ` (epoch ${span.epoch})` : ""}` : null;
    }).filter(Boolean);
    const faults = faultsWithin(model, t, t).slice(0, 4).map(fault => `${fault.words.replace(/\.$/, "")}${fault.until_ms ? `, ${duration(fault.until_ms - fault.since_ms)}` : ""}`);
    const rate = model.rates[placeOf(model.rates, t)];
    const calls = rate && rate.from_ms <= t ? `${number(perSecond(rate, operations(rate)))} operations/s${figures(rate)}` : "no calls";
    return [exactTime(t), roles.join(", "), faults.join("; "), calls].filter(Boolean).join(" · ");
  }

  #summary(model) {
    const from = this.#end - this.#span;
    const shown = model.views.filter(view => (view.changed_ms ?? view.t) > from && (view.changed_ms ?? view.t) <= this.#end);
    const faults = faultsWithin(model, from, this.#end).length;
    return `Timeline of ${duration(this.#span)} until ${timeOfDay(this.#end)}: ${shown.length} changes of the view, ${faults} faults. ` +
      "The table below lists every change.";
  }

  #fillChanges(views) {
    if (!byId("history").open) return;
    const key = JSON.stringify(views.slice(-1)) + views.length;
    if (key === this.#changesOf) return;
    this.#changesOf = key;
    const shown = views.slice(this.player ? -MOST_ROWS : -100);
    this.changes.fill([...shown].reverse().map(view => ({texts: [exactTime(view.changed_ms ?? view.t), number(view.epoch), view.primary,
      view.in_sync.join(", "), duration(view.took_ms ?? view.failover_ms), cause(view.cause_kind), view.why ?? ""]})));
  }
}

const figures = rate => (rate.median_us ? `, median ${micros(rate.median_us)}, p99 ${micros(rate.p99_us)}, slowest ${micros(rate.slowest_us)}` : "");

const KEY = [["primary", "leads"], ["standby", "standby"], ["joining", "joining, or believes it leads"], ["paused", "frozen"], ["gone", "gone or silent"],
  ["gap", "nobody was answered"]];

/** What the colours mean, and of links the halves, where there are any. */
function keyOf(model) {
  const words = model.faults.some(fault => fault.toward) ? "of a link: the upper half is what the first sends, the lower half what the second sends" : "";
  const key = byId("timeline-key");
  if (key.childElementCount === 0) key.append(...KEY.map(([name, words]) => make("li", {}, make("i", {class: name, "aria-hidden": "true"}), words)), make("li"));
  say(key.lastElementChild, words);
}
