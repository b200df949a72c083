// The teller: look up, withdraw, deposit, transfer by hand; and load, made by the console's own clients.
//
// Rule 1: every answer is shown with its request id, and can be sent again under the same one: that is what a
//         program does whose answer was lost. What comes back is compared, and the difference is said.
// Rule 2: nothing is done without the token; the fields say why.

import {byId, make, mark, say} from "./elements.js";
import {counted, micros, number, outcome, requestId} from "./wording.js";

const ANSWERS = 4, SETTLES_MS = 200;
const verbs = {balance: "Looked up", withdraw: "Withdrew", deposit: "Deposited", transfer: "Transferred"};

export class Teller {
  /** `own` is where the tour looks: what was done by hand on this page. */
  constructor(asking, own) {
    this.asking = asking;
    this.own = own;
    this.account = make("input", {id: "account", type: "number", min: 0, step: 1, value: 1, required: true, inputmode: "numeric"});
    this.amount = make("input", {id: "amount", type: "number", min: 1, step: 1, value: 10, required: true, inputmode: "numeric"});
    this.to = make("input", {id: "to-account", type: "number", min: 0, step: 1, value: 2, required: true, inputmode: "numeric"});
    this.buttons = [["balance", "Look up"], ["withdraw", "Withdraw"], ["deposit", "Deposit"], ["transfer", "Transfer"]].map(([what, text]) =>
      make("button", {type: "submit", value: what, text, class: what === "withdraw" ? "main" : null, "aria-describedby": "teller-why"}));
    this.why = make("p", {id: "teller-why", class: "why"});
    this.answers = make("ol", {class: "answers", "aria-label": "The newest answers"});
    const form = make("form", {onsubmit: event => this.#submitted(event)},
      make("div", {class: "fields"},
        make("label", {for: "account"}, "Account", this.account),
        make("label", {for: "amount"}, "Amount", this.amount),
        make("label", {for: "to-account"}, "Transfer to", this.to)),
      make("div", {class: "buttons"}, ...this.buttons), this.why);
    byId("teller-desk").append(form, this.answers);
  }

  render(model) {
    const why = cannot(this.asking, model);
    say(this.why, why);
    for (const button of this.buttons) mark(button, "aria-disabled", why ? "true" : null);
    for (const again of this.answers.querySelectorAll("button")) mark(again, "aria-disabled", why ? "true" : null);
  }

  #submitted(event) {
    event.preventDefault();
    const what = event.submitter?.value ?? "balance";
    if (event.submitter?.getAttribute("aria-disabled") || this.why.textContent) return;
    const call = {what, account: Number(this.account.value), to: what === "transfer" ? Number(this.to.value) : null,
      amount: what === "balance" ? null : Number(this.amount.value), again: null};
    this.#send(call, null);
  }

  async #send(call, first) {
    const line = make("li", {"data-tone": "wait"}, make("p", {text: first ? "Sent again, waiting for the answer …" : "Waiting for the answer …"}));
    if (first) first.line.after(line); else this.answers.prepend(line);
    while (this.answers.childElementCount > ANSWERS * 2) this.answers.lastElementChild.remove();
    const answer = await this.asking.ask("teller", call);
    const told = {call, answer, line, times: 1};
    this.own.calls.push({t: Date.now(), call, answer, same: first ? same(first.answer, answer) : null});
    if (this.own.calls.length > 50) this.own.calls.shift();
    line.replaceChildren(...(first ? againInWords(first.answer, answer) : inWords(call, answer)));
    mark(line, "data-tone", answer.ok && answer.outcome === "done" ? "good" : "warn");
    if (first) mark(line, "class", "again");
    else if (answer.ok && call.what !== "balance" && answer.request_id) line.append(this.#sendAgain(told));
    this.own.changed();
  }

  #sendAgain(told) {
    const button = make("button", {type: "button", text: "Send it again",
      "aria-label": `Send request ${requestId(told.answer.request_id)} again`});
    button.addEventListener("click", () => {
      if (!button.getAttribute("aria-disabled")) this.#send({...told.call, again: told.answer.request_id}, told);
    });
    return button;
  }
}

function cannot(asking, model) {
  if (model.hello?.tellers === false) return "This console has no tellers: it only watches.";
  if (!asking.hasToken) return "Needs the token that the terminal printed.";
  return "";
}

function inWords(call, answer) {
  if (!answer.ok) return [make("p", {text: answer.error})];
  const amount = call.what === "balance" ? "" : ` ${number(call.amount)}`;
  const done = call.what === "balance" ? `Account ${call.account} has ${number(answer.balance)}.`
    : `${verbs[call.what]}${amount}${call.what === "transfer" ? ` to account ${call.to}` : ""}. Account ${call.account} has ${number(answer.balance)} now.`;
  const said = {
    done, declined: `Declined: ${answer.message || "the balance does not allow it"}`,
    in_doubt: "No answer came. Whether it was done is not known yet: send it again to find out.",
  }[answer.outcome] ?? `${outcome(answer.outcome)}: ${answer.message ?? ""}`;
  return [make("p", {text: said}), facts(answer)];
}

function facts(answer) {
  const list = [["request id", requestId(answer.request_id)], ["action id", number(answer.action_id)], ["took", micros(answer.took_us)]];
  return make("dl", {class: "facts"}, ...list.map(([name, value]) => make("div", {}, make("dt", {text: name}), make("dd", {text: value}))));
}

const same = (first, answer) =>
  answer.ok && first.ok && first.action_id === answer.action_id && first.balance === answer.balance;

function againInWords(first, answer) {
  if (!answer.ok) return [make("p", {text: answer.error})];
  if (first.outcome === "in_doubt") return [make("p", {text: `Now it is certain: ${outcome(answer.outcome)}, action ${number(answer.action_id)}, balance ${number(answer.balance)}.`})];
  if (same(first, answer)) {
    return [make("p", {text: `The same answer: action ${number(answer.action_id)}, balance ${number(answer.balance)}, in ${micros(answer.took_us)}. Nothing happened twice.`})];
  }
  return [make("p", {text: `Another answer: ${outcome(answer.outcome)}, action ${number(answer.action_id)}, balance ${number(answer.balance)}.`})];
}

export class Load {
  #timer = null;

  constructor(asking, own) {
    this.asking = asking;
    this.own = own;
    this.hello = null;
    this.clients = this.#slider("clients", 0, 64, 1, 0);
    this.reads = this.#slider("reads", 0, 100, 5, 50);
    this.accounts = make("input", {id: "accounts", type: "number", min: 1, max: 100000, step: 1, value: 10, inputmode: "numeric",
      onchange: () => this.#changed()});
    this.stop = make("button", {type: "button", text: "No load", "aria-describedby": "load-why", onclick: () => this.#set(0)});
    this.some = make("button", {type: "button", text: "8 clients", "aria-describedby": "load-why", onclick: () => this.#set(8)});
    this.why = make("p", {id: "load-why", class: "why"});
    this.said = make("p", {class: "said"});
    byId("load-desk").append(
      make("label", {class: "slider", for: "clients"}, this.clients.label, this.clients.input),
      make("label", {class: "slider", for: "reads"}, this.reads.label, this.reads.input),
      make("div", {class: "fields"}, make("label", {for: "accounts"}, "Accounts, picked at random", this.accounts)),
      make("div", {class: "buttons"}, this.some, this.stop), this.why, this.said);
    this.#describe();
  }

  #slider(id, min, max, step, value) {
    const input = make("input", {id, type: "range", min, max, step, value, "aria-describedby": "load-why",
      oninput: () => this.#describe(), onchange: () => this.#changed()});
    return {input, label: make("span")};
  }

  get #count() { return Number(this.clients.input.value); }

  #describe() {
    const clients = counted(this.#count, "client calls", "clients call"), reads = `${this.reads.input.value} % of the calls only read`;
    say(this.clients.label, this.#count ? clients : "No client calls");
    say(this.reads.label, reads);
    mark(this.clients.input, "aria-valuetext", this.clients.label.textContent);
    mark(this.reads.input, "aria-valuetext", reads);
  }

  #set(clients) {
    if (this.why.textContent) return;
    this.clients.input.value = clients;
    this.#describe();
    this.#changed();
  }

  #changed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), SETTLES_MS);
  }

  async #send() {
    const answer = await this.asking.ask("load", {clients: this.#count, reads: Number(this.reads.input.value) / 100,
      accounts: Math.max(1, Number(this.accounts.value) || 1)});
    say(this.said, answer.ok ? answer.said ?? "" : answer.error);
  }

  // What is at work already, as whoever opens the page again finds it.
  #begin(load) {
    if (!load) return;
    this.clients.input.max = load.at_most;
    this.clients.input.value = load.clients;
    this.reads.input.value = Math.round(100 * load.reads);
    this.accounts.max = load.most_accounts;
    this.accounts.value = load.accounts;
    this.#describe();
  }

  render(model) {
    const why = cannot(this.asking, model);
    say(this.why, why);
    if (model.hello !== this.hello) {
      this.hello = model.hello;
      this.#begin(model.hello?.load);
    }
    for (const input of [this.clients.input, this.reads.input, this.accounts]) input.disabled = Boolean(why);
    for (const button of [this.stop, this.some]) mark(button, "aria-disabled", why ? "true" : null);
  }
}
