// Paints the timeline on a canvas: a lane a server, faults over it, changes of the view across, two curves below.
//
// Rule 1: how high a bar is says what a role does, as in the chaos report; its name stands in it where it fits.
// Rule 2: red is kept for what went wrong: a kill, and the time in which no call was answered.
// Rule 3: colours come from page.css, so that light and dark are decided in one place.

import {make} from "./elements.js";
import {cause, duration, inWords, micros, number, timeOfDay} from "./wording.js";

const LANE = 46, MARKS = 32, PLOT = 62, GAP = 22, AXIS = 22, RIGHT = 12;
const HEIGHTS = {primary: 27, deposed: 27, standby: 15, joining: 8, starting: 4};
const STEPS_MS = [100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000];
const COLOURS = ["card", "ink", "soft", "faint", "fainter", "primary", "on-primary", "standby", "joining", "starting", "kill", "pause",
  "stop", "switchover", "rate", "band", "longest", "cut", "bad"];
const FONT = "11px system-ui, 'Noto Sans', 'Liberation Sans', sans-serif", BOLD = `600 ${FONT}`;
const FAULT_COLOURS = {kill: "kill", pause: "pause", stop: "stop", wipe: "cut", switchover: "switchover"};
const LOWEST_US = 100, HIGHEST_US = 10000000;

export class Painting {
  #colours = null; #context; #size = "";

  constructor(holder) {
    this.holder = holder;
    this.canvas = make("canvas", {role: "img", "aria-label": "Timeline"});
    this.#context = this.canvas.getContext("2d");
    holder.append(this.canvas);
  }

  forgetColours() { this.#colours = null; }

  get plotWidth() { return this.width - this.left - RIGHT; }

  /** The time under a pixel, or null beside the lanes. */
  timeAt(x) {
    if (!this.shown || x < this.left || x > this.width - RIGHT) return null;
    return this.shown.from + (x - this.left) / this.plotWidth * (this.shown.until - this.shown.from);
  }

  paint(model, shown) {
    this.shown = shown;
    this.width = this.holder.clientWidth;
    this.left = this.width < 520 ? 54 : 84;
    const lanes = [...model.lanes];
    this.lanesEnd = MARKS + lanes.length * LANE;
    this.height = this.lanesEnd + 2 * (GAP + PLOT) + AXIS + 6;
    this.#resize();
    this.#readColours();
    const context = this.#context;
    context.clearRect(0, 0, this.width, this.height);
    context.textBaseline = "alphabetic";
    this.#names(lanes);
    context.save();
    context.beginPath();
    context.rect(this.left, 0, this.plotWidth, this.height);
    context.clip();
    this.#gaps(model);
    lanes.forEach(([name, spans], at) => this.#lane(name, spans, MARKS + at * LANE, model));
    this.#plots(model);
    this.#views(model);
    this.#pointer(shown);
    context.restore();
    this.#axis(shown);
  }

  #resize() {
    const ratio = Math.min(2, devicePixelRatio || 1), size = `${this.width} ${this.height} ${ratio}`;
    if (size === this.#size) return;
    this.#size = size;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  #readColours() {
    if (this.#colours) return;
    const style = getComputedStyle(document.documentElement);
    this.#colours = Object.fromEntries(COLOURS.map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
  }

  #x(t) { return this.left + (t - this.shown.from) / (this.shown.until - this.shown.from) * this.plotWidth; }

  #text(text, x, y, colour, {font = FONT, align = "left"} = {}) {
    const context = this.#context;
    context.font = font;
    context.textAlign = align;
    context.fillStyle = this.#colours[colour];
    context.fillText(text, x, y);
  }

  #block(from, until, y, height, colour, {opacity = 1, least = 0} = {}) {
    const context = this.#context, x = this.#x(from);
    context.globalAlpha = opacity;
    context.fillStyle = this.#colours[colour];
    context.fillRect(x, y, Math.max(least, this.#x(until) - x), height);
    context.globalAlpha = 1;
  }

  #stripes(from, until, y, height, colour, every = 6) {
    const context = this.#context;
    const left = Math.max(this.left, this.#x(from)), right = Math.min(this.width - RIGHT, this.#x(until));
    if (right <= left) return;
    context.save();
    context.beginPath();
    context.rect(left, y, right - left, height);
    context.clip();
    context.strokeStyle = this.#colours[colour];
    context.lineWidth = 1.5;
    context.beginPath();
    for (let x = left - height; x < right; x += every) { context.moveTo(x, y + height); context.lineTo(x + height, y); }
    context.stroke();
    context.restore();
  }

  #names(lanes) {
    lanes.forEach(([name], at) => this.#text(name, 12, MARKS + at * LANE + LANE - 13, "ink", {font: BOLD}));
    this.#context.fillStyle = this.#colours.faint;
    lanes.forEach((_, at) => this.#context.fillRect(0, MARKS + (at + 1) * LANE - 1, this.width, 1));
  }

  #gaps(model) {
    for (const view of model.views) {
      if (!view.took_ms) continue;
      const [from, until] = gapOf(view);
      this.#block(from, until, MARKS - 4, this.height - AXIS - MARKS, tone(view), {opacity: .13, least: 1.5});
    }
  }

  #lane(name, spans, top, model) {
    const bottom = top + LANE - 4;
    for (const span of spans) {
      const until = span.until ?? Math.max(this.shown.now, model.newest);
      if (until < this.shown.from || span.from > this.shown.until) continue;
      this.#span(span.standing, span.from, until, bottom);
    }
    const faults = model.faults.filter(fault => fault.whom === name);
    faults.forEach((fault, at) => this.#fault(fault, top, faults[at + 1]?.since_ms ?? Infinity));
  }

  #span(standing, from, until, bottom) {
    const height = HEIGHTS[standing];
    if (standing === "joining" || standing === "deposed") {
      this.#stripes(from, until, bottom - height, height, standing === "joining" ? "joining" : "primary");
    } else if (height) this.#block(from, until, bottom - height, height, standing);
    else if (standing === "paused") this.#stripes(from, until, bottom - 20, 20, "pause");
    else this.#dashes(from, until, bottom - 2);
    const x = Math.max(this.left, this.#x(from)) + 5, room = this.#x(until) - x;
    const words = inWords(standing);
    this.#context.font = standing === "primary" ? BOLD : FONT;
    if (room < this.#context.measureText(words).width + 4) return;
    if (standing === "primary") this.#text(words, x, bottom - 9, "on-primary", {font: BOLD});
    else if (standing === "standby") this.#text(words, x, bottom - 18, "soft");
    else this.#text(words, x, bottom - (height ?? (standing === "paused" ? 20 : 2)) - 3, isAway(standing) ? "bad" : "soft");
  }

  #dashes(from, until, y) {
    const context = this.#context;
    context.strokeStyle = this.#colours.kill;
    context.lineWidth = 2;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(this.#x(from), y);
    context.lineTo(this.#x(until), y);
    context.stroke();
    context.setLineDash([]);
  }

  #fault(fault, top, next) {
    const until = fault.until_ms ?? (fault.until_ms === null && fault.what !== "kill" ? this.shown.now : fault.since_ms);
    if (until < this.shown.from || fault.since_ms > this.shown.until) return;
    const colour = FAULT_COLOURS[fault.what] ?? "cut", x = this.#x(fault.since_ms);
    this.#block(fault.since_ms, until, top + 1, 11, colour, {opacity: .26});
    this.#context.fillStyle = this.#colours[colour];
    this.#context.fillRect(x, top + 1, 2.5, 11);
    this.#context.font = BOLD;
    if (this.#x(next) - x > this.#context.measureText(fault.what).width + 9) this.#text(fault.what, x + 6, top + 10.5, colour, {font: BOLD});
  }

  #views(model) {
    const context = this.#context, used = [];
    const views = model.views.filter(view => { const x = this.#x(view.changed_ms ?? view.t); return x > this.left - 160 && x < this.width; });
    for (const view of views) {
      const x = this.#x(view.changed_ms ?? view.t), grave = Boolean(view.took_ms);
      context.fillStyle = this.#colours[grave ? tone(view) : "soft"];
      context.globalAlpha = grave ? 1 : .55;
      context.fillRect(x - .5, MARKS - 6, 1, this.lanesEnd - MARKS + 6);
      context.globalAlpha = 1;
    }
    for (const view of [...views].sort((one, other) => Boolean(other.took_ms) - Boolean(one.took_ms))) this.#viewLabel(view, used);
  }

  /** Failovers come first; a label that would lie over another one tries the second row, then is left out. */
  #viewLabel(view, used) {
    const took = view.took_ms ? duration(view.took_ms) : "", words = `${this.width < 520 ? "" : "epoch "}${view.epoch} ${cause(view.cause_kind)}`;
    this.#context.font = BOLD;
    const tookWidth = took ? this.#context.measureText(took).width + 5 : 0;
    this.#context.font = FONT;
    const width = tookWidth + this.#context.measureText(words).width;
    let x = this.#x(view.changed_ms ?? view.t) + 3;
    x = Math.min(x, this.width - RIGHT - width - 2);
    for (const row of [0, 1]) {
      if (used.some(other => other.row === row && x < other.until + 8 && x + width + 8 > other.from)) continue;
      used.push({row, from: x, until: x + width});
      const y = 11 + row * 13;
      if (took) this.#text(took, x, y, tone(view), {font: BOLD});
      this.#text(words, x + tookWidth, y, "soft");
      return;
    }
  }

  #plots(model) {
    const shown = model.rates.filter(rate => rate.t >= this.shown.from - 1000 && rate.from_ms <= this.shown.until);
    const top = this.lanesEnd + GAP, second = top + PLOT + GAP;
    const most = Math.max(10, ...shown.map(rate => perSecond(rate, rate.done)));
    const scale = rounded(most);
    this.#frame(top, [[scale, number(scale)], [0, "0"]], value => top + PLOT * (1 - value / scale), "calls done per second");
    const y = value => top + PLOT * (1 - Math.min(1, value / scale));
    this.#steps(shown, rate => y(perSecond(rate, rate.done)), top + PLOT, "rate");
    this.#doubts(shown, top + PLOT);
    const log = us => second + PLOT * (1 - Math.log(Math.min(HIGHEST_US, Math.max(LOWEST_US, us)) / LOWEST_US) / Math.log(HIGHEST_US / LOWEST_US));
    this.#frame(second, [[1000, "1 ms"], [100000, "100 ms"], [10000000, "10 s"]], log, "time of a call: median to p99, and the slowest");
    this.#band(shown, log);
  }

  #frame(top, marks, y, caption) {
    this.#text(caption, this.left + 2, top - 7, "soft");
    for (const [value, words] of marks) {
      this.#context.fillStyle = this.#colours.faint;
      this.#context.fillRect(this.left, Math.round(y(value)), this.plotWidth, 1);
      (this.marks ??= []).push([words, y(value)]);
    }
  }

  #steps(rates, y, ground, colour) {
    const context = this.#context;
    context.fillStyle = this.#colours[colour];
    context.beginPath();
    for (const rate of rates) {
      const x = this.#x(rate.from_ms), high = y(rate);
      context.rect(x, high, Math.max(1, this.#x(rate.t) - x + .5), ground - high);
    }
    context.fill();
  }

  #doubts(rates, ground) {
    this.#context.fillStyle = this.#colours.kill;
    for (const rate of rates) {
      if (!(rate.failed + rate.in_doubt)) continue;
      const x = this.#x(rate.from_ms);
      this.#context.fillRect(x, ground + 2, Math.max(2, this.#x(rate.t) - x), 3);
    }
  }

  #band(rates, y) {
    const context = this.#context;
    context.globalAlpha = .6;
    context.fillStyle = this.#colours.band;
    context.beginPath();
    for (const rate of rates) {
      if (!rate.median_us) continue;
      const x = this.#x(rate.from_ms), high = y(rate.p99_us);
      context.rect(x, high, Math.max(1, this.#x(rate.t) - x + .5), Math.max(1.5, y(rate.median_us) - high));
    }
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = this.#colours.longest;
    context.lineWidth = 1.6;
    context.beginPath();
    for (const rate of rates) {
      if (!rate.slowest_us) continue;
      context.moveTo(this.#x(rate.from_ms), y(rate.slowest_us));
      context.lineTo(Math.max(this.#x(rate.t), this.#x(rate.from_ms) + 1), y(rate.slowest_us));
    }
    context.stroke();
  }

  #pointer({pointer}) {
    if (pointer === null || this.timeAt(pointer) === null) return;
    this.#context.fillStyle = this.#colours.ink;
    this.#context.fillRect(pointer, 2, 1, this.height - AXIS - 2);
  }

  #axis({from, until}) {
    for (const [words, y] of this.marks ?? []) this.#text(words, this.left - 6, y + 4, "soft", {align: "right"});
    this.marks = [];
    const most = this.plotWidth < 420 ? 4 : 8;
    const step = STEPS_MS.find(step => (until - from) / step <= most) ?? 300000;
    for (let t = Math.ceil(from / step) * step; t <= until; t += step) {
      const x = this.#x(t);
      if (x > this.width - RIGHT - 22 || x < this.left + 18) continue;
      this.#context.fillStyle = this.#colours.soft;
      this.#context.fillRect(x, this.height - AXIS, 1, 4);
      const words = step < 1000 ? `${timeOfDay(t).slice(3)}.${Math.floor(t % 1000 / 100)}` : timeOfDay(t);
      this.#text(words, x, this.height - 6, "soft", {align: "center"});
    }
  }
}

const isAway = standing => ["gone", "silent", "unreachable"].includes(standing);

/** What was asked for is not red, even if it took a moment. */
const tone = view => (["switchover", "stop"].includes(view.cause_kind) ? "switchover" : "bad");

const perSecond = (rate, count) => count * 1000 / Math.max(1, rate.t - rate.from_ms);

/** The next of 1, 2, 5, 10, 20, 50, … */
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map(step => step * power).find(step => step >= value);
}

/** From when until when no call was answered around a change; the server says since when, or it ended just then. */
export function gapOf(view) {
  const until = view.gap_from_ms ? view.gap_from_ms + view.took_ms : view.changed_ms ?? view.t;
  return [until - view.took_ms, until];
}
