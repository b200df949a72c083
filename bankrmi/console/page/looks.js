// A closer look at a typical failover, the slowest ones, and the longest silences: each a timeline of its own, with every call.
//
// Rule: one picture is painted at a time, and whoever draws the page is asked for the next.

import {byId, make, moment} from "./elements.js";
import {closerLooks, goingOn, silencesOf} from "./figures.js";
import {Painting} from "./painting.js";
import {mostPerSecond} from "./plots.js";
import {between} from "./rates.js";
import {capital, duration, exactTime} from "./wording.js";

const LOOKS = 6, OF_FAILOVERS = 4;

export class Looks {
  #of = -1; #paintings = []; #left = []; #scale = null;

  /** `look(from, until)` shows a stretch on the timeline. */
  constructor(look) {
    this.look = look;
    const again = () => { this.#left = [...this.#paintings]; this.wanted?.(); };
    new ResizeObserver(again).observe(byId("looks"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const {painting} of this.#paintings) painting.forgetColours();
      again();
    });
  }

  render(model) {
    if (this.#of !== model.version) this.#layOut(model);
    const next = this.#left.shift();
    if (!next) return;
    next.painting.paint(model, {...next.shown, now: model.newest, scale: this.#scale});
    if (this.#left.length) this.wanted?.();
  }

  #layOut(model) {
    this.#of = model.version;
    const looks = closerLooks(model, {count: LOOKS, failovers: OF_FAILOVERS});
    byId("looks").hidden = looks.length === 0;
    this.#paintings = looks.map(look => {
      const holder = make("div", {class: "panel"}), {heading, sentence} = inWords(model, look);
      const show = moment("on the timeline", () => this.look(look.from, look.until, 0));
      const figure = make("figure", {}, make("figcaption", {}, make("h3", {text: heading}), make("p", {}, `${sentence} `, show)), holder);
      const painting = new Painting(holder);
      painting.canvas.setAttribute("aria-label", `${heading}. ${sentence}`);
      return {figure, painting, shown: {from: look.from, until: look.until}};
    });
    byId("looks-list").replaceChildren(...this.#paintings.map(({figure}) => figure));
    this.#scale = {most: mostPerSecond(between(model.rates, model.oldest, model.newest, 2000), []), low: 100};
    this.#left = [...this.#paintings];
  }
}

function inWords(model, {of: [from, until], why, failover}) {
  if (!failover) {
    return {heading: `Nobody answered for ${duration(until - from)}, from ${exactTime(from, 1)}`, sentence: `${why}. Meanwhile: ${goingOn(model, from, until)}.`};
  }
  const silent = silencesOf(model).filter(([begin, end]) => begin < until && end > from).map(([begin, end]) => end - begin);
  const told = `${failover.old} led; ${duration(failover.took_ms)} later ${failover.new} acknowledged the first update of epoch ${failover.epoch}.`;
  return {
    heading: `${capital(failover.cause)} at ${exactTime(from, 1)}: ${duration(failover.took_ms)}`,
    sentence: `${why}. ${told}${silent.length ? ` Nobody was answered for ${duration(Math.max(...silent))}.` : ""}`,
  };
}
