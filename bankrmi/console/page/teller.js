// The teller: what a person asks of the bank by hand. Its desk is that of what is served: accounts, or classes.
//
// Rule: nothing is done without the token; the fields say why.

import {AccountDesk, accountWords} from "./account_desk.js";
import {Answers} from "./answers.js";
import {byId, make, say} from "./elements.js";
import {MethodDesk, methodWords} from "./method_desk.js";

export class Teller {
  #served = null; #hello = null;

  /** `own` is where the tour looks: what was done by hand on this page. */
  constructor(asking, own) {
    this.asking = asking;
    this.own = own;
    this.why = make("p", {id: "teller-why", class: "why"});
  }

  render(model) {
    const why = whyNot(this.asking, model), kinds = model.hello?.classes ?? null;
    if (model.hello && model.hello !== this.#hello && this.#served !== served(model)) {
      this.#served = served(model);
      this.answers = new Answers(this.asking, this.own, kinds ? methodWords : accountWords);
      const ask = call => { if (!this.why.textContent) this.answers.send(call); };
      this.desk = model.hello.no_teller ? null : kinds ? new MethodDesk(ask, kinds) : new AccountDesk(ask);
      byId("teller-desk").replaceChildren(this.desk?.element ?? "", this.why, this.answers.element);
    }
    this.#hello = model.hello;
    say(this.why, why);
    this.desk?.render(why);
    this.answers?.render(why);
  }
}

/** What is served, as one text: whoever finds another one makes another desk. */
export const served = model => JSON.stringify([model.hello?.no_teller ?? "", model.hello?.classes ?? ""]);

/** Why nothing can be asked for; "" if it can. */
export function whyNot(asking, model) {
  if (model.hello?.no_teller) return model.hello.no_teller;
  if (!asking.hasToken) return "Needs the token that the terminal printed.";
  return "";
}
