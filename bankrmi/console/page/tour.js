// Ten steps of a lesson: what to do, what to look at, what it teaches; and a check that it was done.
//
// Rule 1: a check is pure: it looks at the model, and at what this page's own hands did since the step began.
// Rule 2: a step says first what it needs (two copies, say), so that nobody breaks what is broken already.
// Rule 3: what it teaches is a question first; the answer is behind it, or shown once the step is done.

import {wordsOf} from "./class_words.js";
import {byId, make, mark, say} from "./elements.js";
import {STEPS} from "./steps.js";

export class Tour {
  #at = 0; #since = Date.now(); #done = new Set(); #met = []; #shown = -1; #ofClass = false;

  constructor(own) {
    this.own = own;
    this.place = make("p", {class: "soft"});
    this.title = make("h3", {tabindex: "-1"});
    this.needs = make("p", {class: "why"});
    this.todo = make("p");
    this.checks = make("ul", {class: "checks", "aria-label": "Was it done?"});
    this.look = make("p");
    this.question = make("summary");
    this.answer = make("p");
    this.teaches = make("details", {}, this.question, this.answer);
    this.back = make("button", {type: "button", text: "Back", onclick: () => this.#go(this.#at - 1)});
    this.again = make("button", {type: "button", text: "Once more", onclick: () => this.#go(this.#at)});
    this.next = make("button", {type: "button", text: "Next", onclick: () => this.#go(this.#at + 1)});
    this.all = make("ol", {class: "steps"}, ...STEPS.map((step, at) => make("li", {},
      make("button", {type: "button", onclick: () => this.#go(at)}, make("span", {class: "sign", "aria-hidden": "true"}),
        make("span", {text: step.title}), make("span", {class: "unseen state"})))));
    byId("tour-step").append(this.place, this.title, this.needs, labelled("Do", this.todo), this.checks, labelled("Look at", this.look),
      this.teaches, make("div", {class: "buttons"}, this.back, this.again, this.next),
      make("details", {class: "all"}, make("summary", {text: "All ten steps"}), this.all));
  }

  #go(at) {
    if (at < 0 || at >= STEPS.length) return;
    this.#at = at;
    this.#since = Date.now();
    this.#met = [];
    this.wanted?.();
    requestAnimationFrame(() => this.title.focus({preventScroll: true}));
    this.#shown = -1;
  }

  render(model) {
    const step = STEPS[this.#at];
    if (this.#shown !== this.#at || this.#ofClass !== model.servesClass) this.#lay(step, model.servesClass);
    const seen = {model, since: this.#since, own: this.own};
    // What was seen stays seen: events that a check looked at may have left the model's bounded lists.
    step.checks.forEach((check, place) => { if (model.state && check.met(seen)) this.#met[place] = true; });
    const done = step.checks.every((_, place) => this.#met[place]);
    if (done && !this.#done.has(this.#at)) { this.#done.add(this.#at); this.teaches.open = true; }
    const begun = this.#met.some(Boolean);
    say(this.needs, model.state && !begun && !done ? step.needs?.(model) ?? "" : "");
    [...this.checks.children].forEach((line, place) => {
      mark(line, "data-met", this.#met[place] ? "yes" : "no");
      say(line.lastElementChild, this.#met[place] ? "done" : "not yet");
    });
    this.#signs();
  }

  #lay(step, ofClass) {
    this.#shown = this.#at;
    this.#ofClass = ofClass;
    const words = wordsOf(step, ofClass);
    for (const part of ["title", "todo", "look", "question", "answer"]) say(this[part], words[part]);
    this.teaches.open = this.#done.has(this.#at);
    this.checks.replaceChildren(...words.checks.map(check => make("li", {},
      make("span", {class: "sign", "aria-hidden": "true"}), make("span", {text: check}), " ", make("span", {class: "unseen"}))));
    mark(this.back, "aria-disabled", this.#at === 0 ? "true" : null);
    mark(this.next, "aria-disabled", this.#at === STEPS.length - 1 ? "true" : null);
  }

  #signs() {
    say(this.place, `Step ${this.#at + 1} of ${STEPS.length}, ${this.#done.size} done`);
    const finished = this.#done.has(this.#at);
    mark(this.next, "class", finished && this.#at < STEPS.length - 1 ? "main" : null);
    [...this.all.children].forEach((line, at) => {
      mark(line, "data-met", this.#done.has(at) ? "yes" : "no");
      mark(line.firstElementChild, "aria-current", at === this.#at ? "step" : null);
      say(line.querySelector(".state"), this.#done.has(at) ? ", done" : "");
    });
  }
}

const labelled = (label, element) => make("div", {class: "labelled"}, make("h4", {text: label}), element);
