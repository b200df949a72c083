// Rules taken out: choose one, and see the first history that goes wrong without it, beside the same one with it.
//
// Rule 1: it is said that all of this is simulated: no process of the real bank is touched.
// Rule 2: both histories are shown up to the same moment; where they part is marked.

import {byId, make, mark, say} from "./elements.js";
import {Stepper} from "./stepper.js";
import {SequenceChart} from "./sequence_chart.js";
import {number} from "./wording.js";

export class Rules {
  #shown = ""; #searching = null; #search = null;

  constructor(asking) {
    this.asking = asking;
    this.choice = make("select", {id: "rule", onchange: () => this.#describe()});
    this.wrong = make("p", {class: "said"});
    this.find = make("button", {type: "button", class: "main", text: "Take it out", onclick: () => this.#find()});
    this.end = make("button", {type: "button", text: "Stop looking", hidden: true, onclick: () => this.asking.ask("rule", {end: true})});
    this.why = make("p", {class: "why"});
    this.progress = make("p", {class: "said", role: "status"});
    this.result = make("div", {id: "histories", hidden: true});
    byId("rules-list").append(
      make("p", {class: "note", text: "Simulated: a whole bank in one process, with this bank’s own code, on a simulated network, clock and disk. " +
        "Nothing is done to your bank."}),
      make("div", {class: "fields rule-fields"}, make("label", {for: "rule"}, "Rule", this.choice)), this.wrong,
      make("div", {class: "buttons"}, this.find, this.end), this.why, this.progress, this.result);
  }

  render(model) {
    const rules = model.hello?.rules ?? [], key = JSON.stringify(rules.map(rule => rule.name));
    byId("rules").hidden = rules.length === 0;
    if (key !== this.#shown) this.#fill(rules, key);
    const why = this.asking.hasToken ? "" : "Needs the token that the terminal printed.";
    say(this.why, why);
    mark(this.find, "aria-disabled", why || this.#searching ? "true" : null);
    this.end.hidden = !this.#searching;
    if (model.search !== this.#search && this.#searching === model.search?.name) {
      this.#search = model.search;
      if (model.search.seed !== null) {
        say(this.progress, `Looking for a history that goes wrong: ${number(model.search.seed + 1)} tried, ${number(model.search.seconds)} s.`);
      }
    }
  }

  #fill(rules, key) {
    this.#shown = key;
    this.rules = new Map(rules.map(rule => [rule.name, rule]));
    const was = this.choice.value;
    this.choice.replaceChildren(...rules.map(rule => make("option", {value: rule.name, text: `${rule.rule} · ${rule.name.replaceAll("-", " ")}`})));
    if (this.rules.has(was)) this.choice.value = was;
    this.#describe();
  }

  #describe() {
    const rule = this.rules?.get(this.choice.value);
    say(this.wrong, rule ? `Without it: ${rule.goes_wrong}.` : "");
  }

  async #find() {
    if (this.find.getAttribute("aria-disabled")) return;
    const name = this.choice.value;
    this.#searching = name;
    this.wanted?.();
    this.result.hidden = true;
    say(this.progress, "Looking for a history that goes wrong …");
    const answer = await this.asking.ask("rule", {name});
    this.#searching = null;
    this.wanted?.();
    if (!answer.ok) return say(this.progress, `${answer.error}.`);
    say(this.progress, `Seed ${number(answer.seed)} of a bank with ${answer.servers} servers goes wrong.`);
    this.#show(answer);
  }

  #show(found) {
    const without = new SequenceChart("Without the rule", found.without, found.parties);
    const within = new SequenceChart("With the rule, the same seed", found.with, found.parties);
    const lost = make("p", {class: "lost", role: "alert"});
    const player = new Stepper([without, within], atEnd => say(lost, atEnd(without) ? `What went wrong: ${found.goes_wrong}. The simulator saw: ${found.sentence}.` : ""));
    const again = `bankrmi simulate --break ${found.name} --seed ${found.seed} --seeds 1 --servers ${found.servers}`;
    this.result.replaceChildren(player.element,
      make("div", {class: "histories"}, make("div", {}, without.element, lost), make("div", {}, within.element,
        make("p", {class: "note", text: "With the rule in, nothing goes wrong in this history, to its end."}))),
      make("p", {class: "command"}, "The same in a terminal: ", make("code", {text: again})));
    this.result.hidden = false;
    player.begin();
  }
}
