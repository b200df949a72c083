// The slowest calls that were told of, and what went on while they lasted.

import {byId, madeTable, make, moment, scrolled} from "./elements.js";
import {goingOn} from "./figures.js";
import {exactTime, micros, number, outcome} from "./wording.js";

const SHOWN = 15;

export class Slowest {
  #shown = "";

  /** `look(from, until)` shows a stretch on the timeline. */
  constructor(look) { this.look = look; }

  render(model) {
    const calls = model.slowest.slice(0, SHOWN);
    const key = calls.map(call => `${call.t} ${call.took_us}`).join() + model.faults.length + model.failovers.length;
    if (key === this.#shown) return;
    this.#shown = key;
    byId("slowest").hidden = calls.length === 0;
    const heads = [{text: "took", number: true}, {text: "until"}, {text: "what"}, {text: "outcome"}, {text: "asked by"}, {text: "meanwhile", class: "long"}];
    byId("slowest-list").replaceChildren(scrolled("Table of the slowest calls", madeTable("The slowest calls", heads, calls.map(call => this.#row(call, model)))));
  }

  #row(call, model) {
    const from = call.t - call.took_us / 1000;
    const by = make("span", {}, `${call.client} `, call.request_id ? make("code", {text: call.request_id}) : "");
    const what = call.call ?? (call.what === "balance" ? "look up" : call.what);
    return [micros(call.took_us), moment(exactTime(call.t, 1), () => this.look(from, call.t)), call.operations > 1 ? `${what} of ${number(call.operations)}` : what,
      outcome(call.outcome), by, goingOn(model, from, call.t)];
  }
}
