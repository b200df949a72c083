// What the processes used of the machine: a curve and its figures for each.

import {byId, draw, madeTable, scrolled} from "./elements.js";
import {atPercent} from "./figures.js";
import {number} from "./wording.js";

const WIDTH = 240, HEIGHT = 28, PLACES = 120, EVERY_MS = 2000;

export class Usage {
  #shown = -Infinity; #of = -1;

  render(model, now) {
    if (model.usage.size === 0 || this.#of === model.version || now - this.#shown < EVERY_MS) return;
    this.#shown = now;
    this.#of = model.version;
    byId("usage").hidden = false;
    const heads = [{text: "process"}, {text: "processor", class: "curve"}, {text: "median", number: true}, {text: "most", number: true},
      {text: "memory", class: "curve"}, {text: "now", number: true}, {text: "most", number: true}];
    const most = highest([...model.usage.values()].flat().map(look => look.cpu)), all = [...model.usage.values()].flat();
    const largest = highest(all.map(look => look.resident_kb ?? 0));
    const rows = [...model.usage].sort(([one], [other]) => (one < other ? -1 : 1)).map(([name, looks]) => {
      const cpu = looks.map(look => look.cpu), sorted = [...cpu].sort((one, other) => one - other), memory = looks.map(look => look.resident_kb ?? 0);
      return [name, curve(looks, cpu, most, model), percent(atPercent(sorted, 50)), percent(sorted.at(-1)), curve(looks, memory, largest, model),
        megabytes(memory.at(-1)), megabytes(highest(memory))];
    });
    byId("usage-list").replaceChildren(scrolled("What processes used", madeTable("What processes used of the machine", heads, rows, {class: "usage"})));
  }
}

const highest = values => values.reduce((most, value) => Math.max(most, value), 0);
const percent = share => `${number(share * 100)} %`;
const megabytes = kb => `${number(kb / 1024)} MB`;

/** The highest of each part of the time. */
function curve(looks, values, most, model) {
  const length = Math.max(1, model.newest - model.oldest), parts = new Map();
  looks.forEach((look, at) => {
    const place = Math.min(PLACES - 1, Math.floor((look.t - model.oldest) / length * PLACES));
    parts.set(place, Math.max(parts.get(place) ?? 0, values[at]));
  });
  const points = [...parts].map(([place, value]) => `${(place / PLACES * WIDTH).toFixed(1)},${(HEIGHT - value / (most || 1) * (HEIGHT - 2)).toFixed(1)}`);
  return draw("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true"}, draw("polyline", {points: points.join(" ")}));
}
