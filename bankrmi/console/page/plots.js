// Two curves over time: operations a second, and how long calls took.
//
// Rule: where nothing was answered there is nothing; a call in doubt or refused leaves a red mark.

import {between, operations, perSecond} from "./rates.js";
import {number} from "./wording.js";

export const PLOT = 66;
export const TALL = 92;
export const GAP = 22;
const CLOSE_MS = 20000, LONGEST_US = 10000000;

const captions = {
  console: ["operations per second: bars are answered to this page, the line is what the bank decides for anybody", "time of a call"],
  record: ["operations per second: bars are the recorder's look-ups, the line is what the bank decides for anybody", "time of a look-up"],
  chaos: ["operations answered per second", "time of a call"],
};

/** Paint both, from `top`; `scale` is shared by pictures that are to be compared. */
export function paintPlots(pen, model, top, scale) {
  const room = pen.right - pen.left;
  const rates = between(model.rates, pen.from, pen.until, room), decided = between(model.decided, pen.from, pen.until, room / 2);
  const [first, second] = captions[model.hello?.told_by] ?? captions.console;
  const most = scale?.most ?? mostPerSecond(rates, decided), low = scale?.low ?? 100;
  const ground = top + PLOT, down = value => ground - PLOT * Math.min(1, value / most);
  frame(pen, top, [[most, number(most)], [0, "0"]], down, [first]);
  bars(pen, rates, down, ground);
  line(pen, decided, down);
  const floor = ground + GAP + TALL, height = TALL;
  const log = us => floor - height * Math.log(Math.min(LONGEST_US, Math.max(low, us)) / low) / Math.log(LONGEST_US / low);
  const each = dots(model, pen), samples = each.some(([, , , isSample]) => isSample);
  frame(pen, floor - height, [[1000, "1 ms"], [10000, "10 ms"], [100000, "100 ms"], [1000000, "1 s"], [LONGEST_US, "10 s"]], log,
    samples ? [`${second}: each a dot`, second] : [`${second}: median to 99th percentile, a dash for the slowest`, second]);
  band(pen, rates, log, samples ? .25 : .6);
  slowest(pen, rates, log, samples);
  dotted(pen, each, log);
  doubts(pen, rates, floor - height);
}

/** The highest rate but for single peaks, as a round number. */
export function mostPerSecond(rates, decided) {
  const values = [...rates.map(rate => perSecond(rate, operations(rate))), ...decided.map(event => perSecond(event, event.operations))];
  values.sort((one, other) => one - other);
  return rounded(Math.max(10, values[Math.floor(values.length * .995)] ?? 0));
}

/** The next of 1, 2, 5, 10, 20, 50, … */
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map(step => step * power).find(step => step >= value);
}

function frame(pen, top, marks, down, captions) {
  const caption = captions.find(words => pen.widthOf(words) <= pen.right - pen.left - 4) ?? captions.at(-1);
  pen.text(caption, pen.left + 2, top - 7, "soft");
  for (const [value, words] of marks) {
    pen.fill(pen.left, Math.round(down(value)), pen.right - pen.left, 1, "faint");
    pen.beside(words, down(value));
  }
}

function bars(pen, rates, down, ground) {
  const context = pen.context;
  context.fillStyle = pen.colour("rate");
  context.beginPath();
  for (const rate of rates) {
    const x = pen.x(rate.from_ms), high = down(perSecond(rate, operations(rate)));
    context.rect(x, high, Math.max(1, pen.x(rate.t) - x + .5), ground - high);
  }
  context.fill();
}

function line(pen, decided, down) {
  if (!decided.length) return;
  const context = pen.context;
  context.strokeStyle = pen.colour("longest");
  context.lineWidth = 1.6;
  context.beginPath();
  let reached = -Infinity;
  for (const event of decided) {
    const y = down(perSecond(event, event.operations));
    if (event.from_ms > reached + 50) { context.moveTo(pen.x(event.from_ms), down(0)); }
    context.lineTo(pen.x(event.from_ms), y);
    context.lineTo(pen.x(event.t), y);
    reached = event.t;
  }
  context.stroke();
}

function band(pen, rates, log, opacity) {
  const context = pen.context;
  context.globalAlpha = opacity;
  context.fillStyle = pen.colour("band");
  context.beginPath();
  for (const rate of rates) {
    if (!rate.median_us) continue;
    const x = pen.x(rate.from_ms), high = log(rate.p99_us);
    context.rect(x, high, Math.max(1, pen.x(rate.t) - x + .5), Math.max(1.5, log(rate.median_us) - high));
  }
  context.fill();
  context.globalAlpha = 1;
}

function slowest(pen, rates, log, faint) {
  const context = pen.context;
  context.strokeStyle = pen.colour("longest");
  context.globalAlpha = faint ? .35 : 1;
  context.lineWidth = 1.6;
  context.beginPath();
  for (const rate of rates) {
    if (!rate.slowest_us) continue;
    const x = pen.x(rate.from_ms);
    context.moveTo(x, log(rate.slowest_us));
    context.lineTo(Math.max(pen.x(rate.t), x + 1), log(rate.slowest_us));
  }
  context.stroke();
  context.globalAlpha = 1;
}

/** Single calls, if one looks closely: [t, took_us, was it answered, are they all of a sample]. */
function dots(model, pen) {
  if (pen.until - pen.from > CLOSE_MS) return [];
  const found = [];
  for (const sample of model.samples) {
    if (!pen.shows(sample.from_ms, sample.t)) continue;
    sample.ended_ms.forEach((ended, at) => found.push([sample.from_ms + ended, sample.took_us[at], "dn".includes(sample.outcomes[at]), true]));
  }
  if (!model.samples.length) {
    for (const call of model.calls) if (pen.shows(call.t, call.t)) found.push([call.t, call.took_us, ["done", "declined"].includes(call.outcome), false]);
  }
  return found.filter(([t]) => t >= pen.from && t <= pen.until);
}

function dotted(pen, each, log) {
  for (const [t, took, answered] of each) {
    if (answered) pen.fill(pen.x(t) - 1.4, log(took) - 1.4, 2.8, 2.8, "longest", .5);
    else pen.fill(pen.x(t) - 1, log(took) - 4, 2, 8, "kill");
  }
}

function doubts(pen, rates, top) {
  for (const rate of rates) {
    if (rate.failed + rate.in_doubt) pen.fill(pen.x(rate.from_ms), top - 1, Math.max(2, pen.x(rate.t) - pen.x(rate.from_ms)), rate.in_doubt ? 8 : 4, "kill");
  }
}
