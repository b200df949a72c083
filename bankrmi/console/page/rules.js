// The rules of the bank, and what goes wrong where one is taken out. Shown if the console knows them.

import {byId, make} from "./elements.js";

export class Rules {
  #shown = null;

  render(model) {
    const rules = model.hello?.rules ?? [];
    if (rules === this.#shown) return;
    this.#shown = rules;
    byId("rules").hidden = rules.length === 0;
    byId("rules-list").replaceChildren(...rules.map(rule => make("details", {},
      make("summary", {}, make("b", {text: rule.rule}), " ", make("span", {text: rule.name})),
      make("p", {text: rule.goes_wrong}))));
  }
}
