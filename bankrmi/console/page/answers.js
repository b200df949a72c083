// What the teller was answered, the newest first; and a button that sends a request again.
//
// Rule 1: every answer is shown with its request id, and can be sent again under the same one: that is what a
//         program does whose answer was lost. What comes back is compared, and the difference is said.
// Rule 2: what a desk asks for is a plain object; in `changes` it says whether that changes anything.

import {make, mark} from "./elements.js";
import {micros, number, outcome, requestId} from "./wording.js";

const ANSWERS = 4;

export class Answers {
  /** `own` is where the tour looks; `words` says of an answer what was done (`done`), and what came of it (`came`). */
  constructor(asking, own, words) {
    this.asking = asking;
    this.own = own;
    this.words = words;
    this.element = make("ol", {class: "answers", "aria-label": "The newest answers"});
  }

  /** `why` nothing can be asked for; "" if it can. */
  render(why) {
    for (const again of this.element.querySelectorAll("button")) mark(again, "aria-disabled", why ? "true" : null);
  }

  async send(call, first = null) {
    const line = make("li", {"data-tone": "wait"}, make("p", {text: first ? "Sent again, waiting for the answer …" : "Waiting for the answer …"}));
    if (first) first.line.after(line); else this.element.prepend(line);
    while (this.element.childElementCount > ANSWERS * 2) this.element.lastElementChild.remove();
    const answer = await this.asking.ask("teller", call);
    const same = first ? this.#isSame(first.answer, answer) : null;
    this.own.calls.push({t: Date.now(), call, answer, same});
    if (this.own.calls.length > 50) this.own.calls.shift();
    line.replaceChildren(...(first ? this.#again(first.answer, answer) : this.#first(call, answer)));
    mark(line, "data-tone", answer.ok && answer.outcome === "done" ? "good" : "warn");
    if (first) mark(line, "class", "again");
    else if (answer.ok && call.changes && answer.request_id) line.append(this.#sendAgain({call, answer, line}));
    this.own.changed();
  }

  #sendAgain(told) {
    const button = make("button", {type: "button", text: "Send it again",
      "aria-label": `Send request ${requestId(told.answer.request_id)} again`});
    button.addEventListener("click", () => {
      if (!button.getAttribute("aria-disabled")) this.send({...told.call, again: told.answer.request_id}, told);
    });
    return button;
  }

  #first(call, answer) {
    if (!answer.ok) return [make("p", {text: answer.error})];
    if (answer.outcome === "in_doubt") {
      const next = call.changes ? "Whether it was done is not known yet: send it again to find out." : "Nothing was changed.";
      return [make("p", {text: `No answer came. ${next}`}), facts(answer)];
    }
    if (answer.outcome === "refused") return [make("p", {text: `${outcome(answer.outcome)}: ${answer.message ?? ""}`}), facts(answer)];
    return [...this.words.done(call, answer), facts(answer)];
  }

  #isSame(first, answer) {
    return answer.ok && first.ok && first.action_id === answer.action_id && this.words.came(first) === this.words.came(answer);
  }

  #again(first, answer) {
    if (!answer.ok) return [make("p", {text: answer.error})];
    const came = `action ${number(answer.action_id)}, ${this.words.came(answer)}`;
    if (first.outcome === "in_doubt") return [make("p", {text: `Now it is certain: ${outcome(answer.outcome)}, ${came}.`})];
    if (this.#isSame(first, answer)) return [make("p", {text: `The same answer: ${came}, in ${micros(answer.took_us)}. Nothing happened twice.`})];
    return [make("p", {text: `Another answer: ${outcome(answer.outcome)}, ${came}.`})];
  }
}

function facts(answer) {
  const list = [["request id", requestId(answer.request_id)], ["action id", number(answer.action_id)], ["took", micros(answer.took_us)]];
  return make("dl", {class: "facts"}, ...list.map(([name, value]) => make("div", {}, make("dt", {text: name}), make("dd", {text: value}))));
}
