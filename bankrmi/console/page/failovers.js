// How long failovers took, for each cause: every one a dot, on one axis of powers of ten; and each of them in a table.

import {byId, draw, madeTable, make, moment, scrolled} from "./elements.js";
import {atPercent, failoversOf, feltFailovers, spreads} from "./figures.js";
import {capital, counted, duration, exactTime, number} from "./wording.js";

const WIDTH = 600, HEIGHT = 56, STEPS = 90;

export class Failovers {
  #shown = "";

  /** `look(from, until)` shows a stretch on the timeline. */
  constructor(look) { this.look = look; }

  render(model) {
    const failovers = failoversOf(model);
    const felt = feltFailovers(model), key = `${failovers.length} ${felt.length}`;
    if (key === this.#shown) return;
    this.#shown = key;
    byId("failovers").hidden = failovers.length === 0;
    if (!failovers.length) return;
    byId("failovers-spread").replaceChildren(felt.length ? this.#spread(felt) : make("p", {class: "note", text: "No caller waited for one."}));
    byId("failovers-each").replaceChildren(this.#each(failovers));
  }

  #spread(failovers) {
    const all = spreads(failovers), took = failovers.map(failover => failover.took_ms).sort((one, other) => one - other);
    const low = Math.max(0, Math.floor(Math.log10(Math.max(.001, took[0])))), high = Math.max(low + 1, Math.ceil(Math.log10(took.at(-1) + .001)));
    const axis = {low, high, part: ms => Math.min(1, Math.max(0, (Math.log10(Math.max(ms, .001)) - low) / (high - low)))};
    const heads = [{text: "cause"}, {text: "how many", number: true}, {text: "how long, each a dot", class: "dots"}, {text: "median", number: true},
      {text: "90 %", number: true}, {text: "longest", number: true}];
    const rows = all.map(({cause, took}) => [capital(cause), number(took.length), dots(axis, cause, took), duration(atPercent(took, 50)),
      duration(atPercent(took, 90)), duration(took.at(-1))]);
    rows.push([make("span", {class: "unseen", text: "scale"}), "", scale(axis), "", "", ""]);
    return scrolled("Failovers by cause", madeTable("How long failovers took, for each cause", heads, rows, {class: "spreads"}));
  }

  #each(failovers) {
    const heads = [{text: "from"}, {text: "cause"}, {text: "lead"}, {text: "epoch", number: true}, {text: "took", number: true}];
    const rows = failovers.map(one => [moment(exactTime(one.since_ms, 1), () => this.look(one.since_ms, one.since_ms + Math.max(700, one.took_ms ?? 0))),
      one.cause, `${one.old} → ${one.new}`, number(one.epoch), one.took_ms === null ? "nobody waited" : duration(one.took_ms)]);
    return make("details", {}, make("summary", {text: `All of them: ${counted(failovers.length, "failover", "failovers")}`}),
      scrolled("All failovers", madeTable("All failovers", heads, rows)));
  }
}

const place = share => (share * WIDTH).toFixed(1);

function dots(axis, cause, took) {
  const heaps = new Map();
  for (const ms of took) {
    const step = Math.min(STEPS - 1, Math.floor(axis.part(ms) * STEPS));
    heaps.set(step, (heaps.get(step) ?? 0) + 1);
  }
  const apart = Math.min(7, 44 / Math.max(...heaps.values()));
  const circles = [...heaps].flatMap(([step, count]) => Array.from({length: count}, (_, at) =>
    draw("circle", {class: "dot", cx: place((step + .5) / STEPS), cy: (50 - apart * at).toFixed(1), r: 3.4})));
  const x = place(axis.part(atPercent(took, 50)));
  return draw("svg", {role: "img", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-label": `${cause}: ${took.length} from ${duration(took[0])} to ${duration(took.at(-1))}`},
    ...lines(axis), ...circles, draw("path", {class: "median", d: `M${x} 0V${HEIGHT}`}));
}

const powers = ({low, high}) => Array.from({length: high - low + 1}, (_, at) => low + at);

const lines = axis => powers(axis).map(power => draw("path", {class: "line", d: `M${place((power - axis.low) / (axis.high - axis.low))} 0V${HEIGHT}`}));

function scale(axis) {
  const words = powers(axis).map((power, at, all) => draw("text", {x: place(at / (all.length - 1)), y: 13,
    "text-anchor": at === 0 ? "start" : at === all.length - 1 ? "end" : "middle", text: duration(10 ** power)}));
  return draw("svg", {viewBox: `0 0 ${WIDTH} 18`, "aria-hidden": "true"}, ...words);
}
