// What was done to the bank: how often to whom, and each of it.

import {byId, madeTable, make, moment, scrolled} from "./elements.js";
import {faultsByKind} from "./figures.js";
import {glyph} from "./glyphs.js";
import {counted, duration, exactTime, faultNoun, number} from "./wording.js";

export class Done {
  #shown = "";

  /** `look(from, until)` shows a stretch on the timeline. */
  constructor(look) { this.look = look; }

  render(model) {
    const key = `${model.faults.length} ${model.faults.filter(fault => fault.until_ms === null).length}`;
    if (key === this.#shown) return;
    this.#shown = key;
    byId("done").hidden = model.faults.length === 0 && !model.run;
    byId("done-table").replaceChildren(model.faults.length ? this.#table(model) : make("p", {class: "note", text: "There was no fault."}));
    byId("done-each").replaceChildren(model.faults.length ? this.#each(model) : "");
  }

  #table(model) {
    const {whom, rows} = faultsByKind(model);
    const heads = [{text: "what"}, ...whom.map(text => ({text, number: true})), {text: "in all", number: true}];
    const filled = rows.map(row => [make("span", {class: "fault-name"}, glyph(row.kind), faultNoun(row.kind)),
      ...whom.map(name => (row.counts.has(name) ? number(row.counts.get(name)) : "·")), make("b", {text: number(row.total)})]);
    return scrolled("What was done to whom", madeTable("How often what was done to whom", heads, filled, {class: "faults"}));
  }

  #each(model) {
    const heads = [{text: "from"}, {text: "what", class: "long"}, {text: "lasted", number: true}];
    const rows = model.faults.map(fault => [
      moment(exactTime(fault.since_ms, 1), () => this.look(fault.since_ms, fault.until_ms ?? fault.since_ms + 1000)),
      fault.words, fault.until_ms === null ? "still does" : duration(fault.until_ms - fault.since_ms)]);
    return make("details", {}, make("summary", {text: `All of them, link by link: ${counted(model.faults.length, "fault", "faults")}`}),
      scrolled("All faults", madeTable("All faults, link by link", heads, rows)));
  }
}
