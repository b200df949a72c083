// The card for the links: which one, which way, and whether it is cut or slow.
//
// Rule: there are two ends; "everybody" is toward whom a process is cut off as a whole.

import {make, mark} from "./elements.js";

const EVERYBODY = "everybody";

export class LinkDesk {
  #names = ""; #offers = []; #why = "";

  /** `act(body)` asks for it; `refuse(why)` says why it cannot be. */
  constructor(act, refuse) {
    this.act = act;
    this.refuse = refuse;
    this.from = make("select", {id: "link-from", onchange: () => this.#toward()});
    this.toward = make("select", {id: "link-toward"});
    this.way = make("select", {id: "link-way"}, make("option", {value: "both", text: "both ways"}), make("option", {value: "one", text: "one way"}));
    this.late = make("input", {id: "link-late", type: "number", min: 1, max: 10000, step: 50, value: 200, inputmode: "numeric"});
    this.buttons = make("div", {class: "buttons"});
    this.element = make("article", {class: "card", "aria-label": "Links", hidden: true},
      make("h4", {}, make("b", {text: "Links"})),
      make("div", {class: "fields link-fields"}, make("label", {for: "link-from"}, "From", this.from),
        make("label", {for: "link-toward"}, "To", this.toward), make("label", {for: "link-way"}, "Which way", this.way),
        make("label", {for: "link-late"}, "Slow by (ms)", this.late)),
      this.buttons);
  }

  /** Take what can be done to links: each offer names the ends that there are. */
  offer(offers) {
    this.#offers = offers.filter(offer => !offer.needs);
    this.element.hidden = this.#offers.length === 0;
    this.buttons.replaceChildren(...this.#offers.map(offer => make("button", {type: "button", "data-misfortune": offer.id, text: offer.label,
      title: offer.teaches, onclick: () => this.#click(offer)})));
    const names = this.#offers[0]?.targets ?? [], key = names.join(" ");
    if (key === this.#names) return;
    this.#names = key;
    const servers = [...names].sort((one, other) => (one === "witness") - (other === "witness"));
    this.from.replaceChildren(...servers.map(name => make("option", {value: name, text: name})));
    this.#toward();
  }

  #toward() {
    const was = this.toward.value, names = [...this.from.options].map(option => option.value).filter(name => name !== this.from.value);
    this.toward.replaceChildren(...[...names, EVERYBODY].map(name => make("option", {value: name, text: name})));
    if ([...names, EVERYBODY].includes(was)) this.toward.value = was;
  }

  #click(offer) {
    if (this.#why) return this.refuse(this.#why);
    const body = {id: offer.id, target: this.from.value, toward: this.toward.value, both_ways: this.way.value === "both"};
    const late = Math.round(Number(this.late.value));
    return this.act(offer.id === "slow" ? {...body, late_ms: late} : body);
  }

  render(model, why) {
    this.#why = why;
    for (const button of this.buttons.children) mark(button, "aria-disabled", why ? "true" : null);
  }
}
