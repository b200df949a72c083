// A history as a sequence chart: a column a party, a row a step, time downward. Rows come as time goes on.
//
// Rule 1: each row is text that can be read aloud; the arrow says nothing that its words do not.
// Rule 2: who does nothing in what is shown has no column.

import {draw, make, mark} from "./elements.js";

const KINDS = {message: "sends to", answer: "answers", lost: "sends to", commit: "", crash: "", start: "", role: "", note: "", pause: "", resume: ""};
const ORDER = ["c", "p", "s", "w", "o"];

export class SequenceChart {
  #steps; #parties; #rows = [];

  constructor(title, steps, parties) {
    this.#steps = steps;
    this.#parties = parties;
    this.list = make("ol", {class: "sequence-rows"});
    this.head = make("div", {class: "sequence-head", "aria-hidden": "true"});
    this.window = make("div", {class: "sequence-window", tabindex: "0", role: "region", "aria-label": title}, this.head, this.list);
    this.element = make("figure", {class: "sequence panel"}, make("figcaption", {text: title}), this.window);
  }

  /** The times at which something happens in what is laid out. */
  get moments() { return this.#rows.map(row => row.step.t_ms); }

  get isWhole() { return this.#rows.every(row => !row.element.hidden); }

  /** What the newest row that is shown says. */
  get lastSaid() { return this.#rows.findLast(row => !row.element.hidden)?.element.getAttribute("aria-label") ?? ""; }

  lay(withRoutine) {
    const steps = this.#steps.filter(step => withRoutine || !step.routine);
    const used = new Set(steps.flatMap(step => [step.from, step.to, step.who]));
    const columns = this.#parties.filter(party => used.has(party))
      .sort((one, other) => ORDER.indexOf(one[0]) - ORDER.indexOf(other[0]) || one.localeCompare(other));
    const places = new Map(columns.map((party, at) => [party, at]));
    this.element.style.setProperty("--columns", columns.length);
    const began = steps[0]?.t_ms ?? 0;
    this.head.replaceChildren(make("span", {class: "when", text: "ms"}),
      make("span", {class: "lanes"}, ...columns.map((party, at) => named(party, at, columns.length))), make("span"));
    this.#rows = steps.map(step => ({step, element: row(step, places, columns.length, began)}));
    this.list.replaceChildren(...this.#rows.map(row => row.element));
  }

  showUntil(moment) {
    let newest = null;
    for (const {step, element} of this.#rows) {
      const shows = step.t_ms <= moment;
      if (element.hidden === shows) element.hidden = !shows;
      mark(element, "data-newest", null);
      if (shows) newest = element;
    }
    if (!newest) return;
    mark(newest, "data-newest", true);
    const bottom = newest.offsetTop + newest.offsetHeight, room = this.window.clientHeight;
    this.window.scrollTop = Math.max(0, bottom - room + 8);
  }
}

function named(party, at, count) {
  const name = make("b", {text: party});
  name.style.left = `${(at + .5) / count * 100}%`;
  return name;
}

const said = step => {
  if (step.kind === "gap") return `${step.words} later`;
  if (step.from) return `${step.from} ${KINDS[step.kind]} ${step.to}: ${step.words}${step.kind === "lost" ? ", and it is lost" : ""}`;
  return `${step.who ? `${step.who} ` : ""}${step.words}`;
};

function row(step, places, count, began) {
  const lanes = make("span", {class: "lanes", "aria-hidden": "true"});
  for (let at = 0; at < count; at++) {
    const line = make("i");
    line.style.left = `${(at + .5) / count * 100}%`;
    lanes.append(line);
  }
  if (step.kind !== "gap") lanes.append(picture(step, places, count));
  const words = step.kind === "gap" ? `… ${step.words} …` : step.from || !step.who ? step.words : `${step.who} ${step.words}`;
  const parts = step.parts ? make("em", {text: "here they part"}) : "";
  return make("li", {"data-kind": step.kind, "data-parts": step.parts ?? null, "aria-label": said(step), hidden: true},
    make("span", {class: "when", "aria-hidden": "true", text: (step.t_ms - began).toFixed(1)}), lanes,
    make("span", {class: "words"}, step.kind === "lost" ? `${words} (lost)` : words, parts));
}

/** An arrow from one column to another, or a mark in one: in units of which a column is 100 wide. */
function picture(step, places, count) {
  const middle = party => (places.get(party) + .5) * 100;
  const svg = draw("svg", {viewBox: `0 0 ${count * 100} 20`, preserveAspectRatio: "none"});
  if (step.from) {
    const from = middle(step.from), to = middle(step.to), ends = step.kind === "lost" ? from + (to - from) * .55 : to;
    const back = Math.sign(from - to);
    svg.append(draw("line", {x1: from, y1: 10, x2: ends, y2: 10, class: "arrow"}));
    if (step.kind === "lost") svg.append(draw("path", {d: `M${ends - 9} 5l18 10m0 -10l-18 10`, class: "lost-mark"}));
    else svg.append(draw("path", {d: `M${to} 10l${back * 22} -5v10z`, class: "arrow-head"}));
  } else if (places.has(step.who)) {
    const x = middle(step.who);
    svg.append(draw("rect", {x: x - 14, y: 4, width: 28, height: 12, class: "event"}));
  }
  return svg;
}
