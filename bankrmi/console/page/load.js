// Load, made by the console's own clients: how many, and what they call.

import {AccountMix} from "./account_desk.js";
import {byId, make, mark, say} from "./elements.js";
import {MethodMix} from "./method_desk.js";
import {served, whyNot} from "./teller.js";
import {counted} from "./wording.js";

const SETTLES_MS = 200;

export class Load {
  #timer = null; #served = null; #hello = null;

  constructor(asking) {
    this.asking = asking;
    this.clients = make("input", {id: "clients", type: "range", min: 0, max: 64, step: 1, value: 0, "aria-describedby": "load-why",
      oninput: () => this.#describe(), onchange: () => this.#changed()});
    this.label = make("span");
    this.stop = make("button", {type: "button", text: "No load", "aria-describedby": "load-why", onclick: () => this.#set(0)});
    this.some = make("button", {type: "button", text: "8 clients", "aria-describedby": "load-why", onclick: () => this.#set(8)});
    this.why = make("p", {id: "load-why", class: "why"});
    this.said = make("p", {class: "said", role: "status"});
  }

  get #count() { return Number(this.clients.value); }

  #describe() {
    say(this.label, this.#count ? counted(this.#count, "client calls", "clients call") : "No client calls");
    mark(this.clients, "aria-valuetext", this.label.textContent);
  }

  #set(clients) {
    if (this.why.textContent) return;
    this.clients.value = clients;
    this.#describe();
    this.#changed();
  }

  #changed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), SETTLES_MS);
  }

  async #send() {
    const answer = await this.asking.ask("load", {clients: this.#count, ...this.mix.asked});
    say(this.said, answer.ok ? answer.said ?? "" : answer.error);
  }

  // What is at work already, as whoever opens the page again finds it.
  #begin(load) {
    this.clients.max = load.at_most;
    this.clients.value = load.clients;
    this.mix?.begin(load);
    this.#describe();
  }

  #make(hello) {
    const changed = () => this.#changed();
    this.mix = hello.no_teller ? null : hello.classes ? new MethodMix(changed, hello.classes) : new AccountMix(changed);
    byId("load-desk").replaceChildren(make("label", {class: "slider", for: "clients"}, this.label, this.clients),
      this.mix?.element ?? "", make("div", {class: "buttons"}, this.some, this.stop), this.why, this.said);
  }

  render(model) {
    const why = whyNot(this.asking, model), hello = model.hello;
    if (hello && hello !== this.#hello) {
      this.#hello = hello;
      if (this.#served !== served(model)) this.#make(hello);
      this.#served = served(model);
      this.#begin(hello.load);
    }
    say(this.why, why);
    this.mix?.render(why);
    this.clients.disabled = Boolean(why);
    for (const button of [this.stop, this.some]) mark(button, "aria-disabled", why ? "true" : null);
  }
}
