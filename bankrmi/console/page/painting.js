// Paints a stretch of time on a canvas: lanes with faults, changes of the view and silences across, two curves below.
//
// Rule: red is kept for what went wrong: a kill, and the time in which no call was answered.

import {make} from "./elements.js";
import {gapOf, silencesOf} from "./figures.js";
import {lanesOf, paintLanes, paintNames} from "./lanes.js";
import {BOLD, Pen} from "./pen.js";
import {GAP, PLOT, TALL, paintPlots} from "./plots.js";
import {cause, duration, ticks} from "./wording.js";

const MARKS = 32, AXIS = 22, RIGHT = 12;
const STEPS_MS = [100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 1800000, 3600000, 7200000, 21600000, 86400000];

export class Painting {
  constructor(holder) {
    this.holder = holder;
    this.canvas = make("canvas", {role: "img", "aria-label": "Timeline"});
    this.pen = new Pen(this.canvas);
    holder.append(this.canvas);
  }

  forgetColours() { this.pen.forgetColours(); }

  get plotWidth() { return this.pen.right - this.pen.left; }

  /** The time under a pixel, or null beside the lanes. */
  timeAt(x) {
    const {left, right, from, until} = this.pen;
    if (from === undefined || x < left || x > right) return null;
    return from + (x - left) / (right - left) * (until - from);
  }

  /**
   * `shown`: from, until, now; perhaps pointer (a pixel), cursor (an instant), chosen ([from, until]), and a `scale` for all
   * pictures that are to be compared. `links: "all"` keeps a row for each link that was ever hit, so that nothing jumps.
   */
  paint(model, shown) {
    const width = this.holder.clientWidth, left = width < 520 ? 76 : 96, pen = this.pen;
    const lanes = lanesOf(model, shown.links === "all" ? {from: -Infinity, until: Infinity} : shown);
    this.lanesEnd = lanes.reduce((total, lane) => total + lane.height, MARKS);
    const height = this.lanesEnd + 2 * GAP + PLOT + TALL + AXIS + 6;
    pen.begin({width, height, left, right: width - RIGHT, from: shown.from, until: shown.until});
    this.marks = [];
    pen.beside = (words, y) => this.marks.push([words, y]);
    paintNames(pen, lanes, MARKS);
    pen.context.save();
    pen.context.beginPath();
    pen.context.rect(left, 0, this.plotWidth, height);
    pen.context.clip();
    this.#silences(model, height);
    paintLanes(pen, lanes, MARKS, Math.max(shown.now, model.newest));
    paintPlots(pen, model, this.lanesEnd + GAP, shown.scale);
    this.#views(model);
    this.#marks(shown, height);
    pen.context.restore();
    this.#axis(shown, height);
  }

  #silences(model, height) {
    const pen = this.pen;
    if (model.silences.length === 0) {
      for (const view of model.views) if (view.took_ms) this.#silence(...gapOf(view), height, toneOf(view));
    }
    for (const [from, until] of model.silences.length ? silencesOf(model) : []) this.#silence(from, until, height, "bad");
    pen.context.globalAlpha = 1;
  }

  #silence(from, until, height, colour) {
    const pen = this.pen;
    if (!pen.shows(from, until)) return;
    const bottom = height - AXIS;
    pen.block(from, until, MARKS - 4, bottom - MARKS + 4, colour, {opacity: .13, least: 1.5});
    const left = Math.max(pen.left, pen.x(from)), right = Math.min(pen.right, pen.x(until));
    const words = [`nobody answered ${duration(until - from)}`, duration(until - from)].find(words => pen.widthOf(words, BOLD) + 6 <= right - left);
    if (words) pen.text(words, (left + right) / 2, bottom - 5, colour, {font: BOLD, align: "center"});
  }

  #views(model) {
    const pen = this.pen, used = [];
    const views = model.views.filter(view => pen.shows(timeOf(view) - 1, timeOf(view) + (pen.until - pen.from) * .15));
    for (const view of views) {
      const grave = Boolean(tookOf(view));
      pen.fill(pen.x(timeOf(view)) - .5, MARKS - 6, 1, this.lanesEnd - MARKS + 6, grave ? toneOf(view) : "soft", grave ? 1 : .55);
    }
    for (const view of [...views].sort((one, other) => Boolean(tookOf(other)) - Boolean(tookOf(one)))) this.#viewLabel(view, used);
  }

  /** Failovers come first; a label that would lie over another one tries the second row, then is left out. */
  #viewLabel(view, used) {
    const pen = this.pen, took = tookOf(view) ? duration(tookOf(view)) : "";
    const words = `${pen.width < 520 ? "" : "epoch "}${view.epoch} ${cause(view.cause_kind)}`;
    const tookWidth = took ? pen.widthOf(took, BOLD) + 5 : 0, width = tookWidth + pen.widthOf(words);
    const x = Math.min(pen.x(timeOf(view)) + 3, pen.right - width - 2);
    for (const row of [0, 1]) {
      if (used.some(other => other.row === row && x < other.until + 8 && x + width + 8 > other.from)) continue;
      used.push({row, from: x, until: x + width});
      const y = 11 + row * 13;
      if (took) pen.text(took, x, y, toneOf(view), {font: BOLD});
      pen.text(words, x + tookWidth, y, "soft");
      return;
    }
  }

  /** What one has chosen, where the play head is, and where the pointer is. */
  #marks({pointer = null, cursor = null, chosen = null}, height) {
    const pen = this.pen, bottom = height - AXIS;
    if (chosen) pen.block(Math.min(...chosen), Math.max(...chosen), 2, bottom - 2, "primary", {opacity: .18});
    if (cursor !== null && pen.shows(cursor, cursor)) {
      const x = pen.x(cursor);
      pen.fill(x - 1, 2, 2, bottom - 2, "primary");
      pen.fill(x - 5, 0, 10, 6, "primary");
    }
    if (pointer !== null && this.timeAt(pointer) !== null) pen.fill(pointer, 2, 1, bottom - 2, "ink");
  }

  #axis({from, until}, height) {
    const pen = this.pen;
    for (const [words, y] of this.marks) pen.text(words, pen.left - 6, y + 4, "soft", {align: "right"});
    const most = this.plotWidth < 420 ? 4 : 8;
    const step = STEPS_MS.find(step => (until - from) / step <= most) ?? Math.ceil((until - from) / most / 86400000) * 86400000;
    for (const [t, words] of ticks(from, until, step)) {
      const x = pen.x(t), half = pen.widthOf(words) / 2;
      if (x + half > pen.width || x - half < pen.left - 20) continue;
      pen.fill(x, height - AXIS, 1, 4, "soft");
      pen.text(words, x, height - 6, "soft", {align: "center"});
    }
  }
}

const timeOf = view => view.changed_ms ?? view.t;

const tookOf = view => view.took_ms ?? view.failover_ms ?? null;

/** What was asked for is not red, even if it took a moment. */
const toneOf = view => (["switchover", "stop"].includes(view.cause_kind) ? "switchover" : "bad");
