// The teller of a bank: look up, withdraw, deposit, transfer by hand; and what its load is made of.

import {make, mark} from "./elements.js";
import {number} from "./wording.js";

const verbs = {balance: "Looked up", withdraw: "Withdrew", deposit: "Deposited", transfer: "Transferred"};

export class AccountDesk {
  /** `ask(call)` has a call made. */
  constructor(ask) {
    this.ask = ask;
    this.account = make("input", {id: "account", type: "number", min: 0, step: 1, value: 1, required: true, inputmode: "numeric"});
    this.amount = make("input", {id: "amount", type: "number", min: 1, step: 1, value: 10, required: true, inputmode: "numeric"});
    this.to = make("input", {id: "to-account", type: "number", min: 0, step: 1, value: 2, required: true, inputmode: "numeric"});
    this.buttons = [["balance", "Look up"], ["withdraw", "Withdraw"], ["deposit", "Deposit"], ["transfer", "Transfer"]].map(([what, text]) =>
      make("button", {type: "submit", value: what, text, class: what === "withdraw" ? "main" : null, "aria-describedby": "teller-why"}));
    this.element = make("form", {onsubmit: event => this.#submitted(event)},
      make("div", {class: "fields"},
        make("label", {for: "account"}, "Account", this.account),
        make("label", {for: "amount"}, "Amount", this.amount),
        make("label", {for: "to-account"}, "Transfer to", this.to)),
      make("div", {class: "buttons"}, ...this.buttons));
  }

  render(why) {
    for (const button of this.buttons) mark(button, "aria-disabled", why ? "true" : null);
  }

  #submitted(event) {
    event.preventDefault();
    if (event.submitter?.getAttribute("aria-disabled")) return;
    const what = event.submitter?.value ?? "balance";
    this.ask({what, changes: what !== "balance", account: Number(this.account.value), to: what === "transfer" ? Number(this.to.value) : null,
      amount: what === "balance" ? null : Number(this.amount.value), again: null});
  }
}

/** See `Answers`. */
export const accountWords = {
  done(call, answer) {
    if (answer.outcome === "declined") return [make("p", {text: `Declined: ${answer.message || "the balance does not allow it"}`})];
    const amount = call.what === "balance" ? "" : ` ${number(call.amount)}`;
    return [make("p", {text: call.what === "balance" ? `Account ${call.account} has ${number(answer.balance)}.`
      : `${verbs[call.what]}${amount}${call.what === "transfer" ? ` to account ${call.to}` : ""}. Account ${call.account} has ${number(answer.balance)} now.`})];
  },
  came: answer => `balance ${number(answer.balance)}`,
};

/** What the load of a bank is made of: which share looks up, and on how many accounts. */
export class AccountMix {
  constructor(changed) {
    this.reads = make("input", {id: "reads", type: "range", min: 0, max: 100, step: 5, value: 50, "aria-describedby": "load-why",
      oninput: () => this.#describe(), onchange: changed});
    this.label = make("span");
    this.accounts = make("input", {id: "accounts", type: "number", min: 1, max: 100000, step: 1, value: 10, inputmode: "numeric", onchange: changed});
    this.element = make("div", {}, make("label", {class: "slider", for: "reads"}, this.label, this.reads),
      make("div", {class: "fields"}, make("label", {for: "accounts"}, "Accounts, picked at random", this.accounts)));
    this.#describe();
  }

  get asked() { return {reads: Number(this.reads.value) / 100, accounts: Math.max(1, Number(this.accounts.value) || 1)}; }

  begin(load) {
    this.reads.value = Math.round(100 * load.reads);
    this.accounts.max = load.most_accounts;
    this.accounts.value = load.accounts;
    this.#describe();
  }

  render(why) {
    for (const input of [this.reads, this.accounts]) input.disabled = Boolean(why);
  }

  #describe() {
    const reads = `${this.reads.value} % of the calls only read`;
    this.label.textContent = reads;
    mark(this.reads, "aria-valuetext", reads);
  }
}
