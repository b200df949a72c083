// What was decided, newest first; and the copies of it: are they equal, and who is behind by how much?
//
// Rule 1: digests are compared only where both copies end at the same action; else they must differ.
// Rule 2: the list can be held still, for nobody reads a list that moves.

import {byId, make, say, table} from "./elements.js";
import {isUp} from "./model.js";
import {counted, exactTime, inWords, listed, micros, number, outcome, requestId, shortDigest, shortRequestId, timeOfDay} from "./wording.js";

const ROWS = 16, RECORDS = 5, LONGEST = 48;

export class Journal {
  #held = null; #leftOutAtHold = 0; #rolledBack = ""; #ofClass = null;

  constructor() {
    this.copies = table("The copies of the journal", ["server", "role", {text: "action id", number: true},
      {text: "acknowledged", number: true}, {text: "behind by", number: true}, "digest", "same as the primary"].map(head));
    byId("copies").append(this.copies.element);
    this.hold = make("button", {type: "button", "aria-pressed": "false", text: "Hold still", onclick: () => this.#toggle()});
    this.unusual = make("input", {type: "checkbox", id: "only-unusual", onchange: () => this.wanted?.()});
    this.left = make("span", {class: "soft"});
    byId("calls-tools").append(this.hold, make("label", {class: "check", for: "only-unusual"}, this.unusual,
      " only what was not simply done"), this.left);
  }

  #toggle() {
    this.holding = !this.holding;
    this.#held = null;
    this.hold.setAttribute("aria-pressed", String(this.holding));
    this.wanted?.();
  }

  render(model) {
    if (!model.state) return;
    this.#renderCopies(model);
    this.#renderRolledBack(model);
    this.#renderCalls(model);
  }

  #renderRolledBack(model) {
    const key = JSON.stringify(model.rolledBack.map(told => [told.record, told.count, model.after(told.epoch)?.epoch]));
    if (key === this.#rolledBack) return;
    this.#rolledBack = key;
    byId("rolled-back").hidden = model.rolledBack.length === 0;
    byId("rolled-back-list").replaceChildren(...[...model.rolledBack].reverse().slice(0, RECORDS).map(told => rolledBack(told, model)));
  }

  #renderCopies(model) {
    this.copies.fill(model.servers.map(server => copyRow(model, server)));
    say(byId("copies-said"), copiesInWords(model));
  }

  #renderCalls(model) {
    if (this.#ofClass !== model.servesClass) {
      this.#ofClass = model.servesClass;
      this.calls = table("The newest calls", ["when", "what", "outcome", this.#ofClass ? "result" : {text: "balance", number: true},
        {text: "action id", number: true}, {text: "took", number: true}, "seen on", "request id", "said"].map(head));
      byId("calls").replaceChildren(this.calls.element);
    }
    if (this.holding && this.#held === null) { this.#held = [...model.calls]; this.#leftOutAtHold = model.leftOut; }
    let calls = this.holding ? this.#held : model.calls;
    if (this.unusual.checked) calls = calls.filter(call => call.outcome !== "done" || call.again);
    this.calls.fill(calls.slice(-ROWS).reverse().map(call => callRow(call, model)));
    const leftOut = this.holding ? this.#leftOutAtHold : model.leftOut;
    const empty = calls.length ? "" : this.unusual.checked ? "Nothing unusual so far. " : "No calls yet: ask the teller, or add load. ";
    say(this.left, `${empty}${leftOut ? `A sample: ${counted(leftOut, "call is", "calls are")} not listed.` : ""}`);
  }
}

const head = text => (typeof text === "string" ? {text} : text);

function copyRow(model, server) {
  const now = model.standing(server.name), up = isUp(now);
  const behind = model.behind(server), same = model.sameAs(server, model.primary);
  const leads = server.name === model.view?.primary;
  return {
    tone: same === false ? "bad" : null,
    texts: [server.name, inWords(now), up ? number(server.action_id) : "–", up ? number(server.acknowledged) : "–",
      leads ? "it leads" : behind === null ? "not known" : number(behind), up ? shortDigest(server.digest) : "–",
      leads ? "it leads" : !up || same === null ? "ends elsewhere" : same ? "equal" : "differs"],
    titles: [null, null, null, null, null, server.digest ?? null, null],
  };
}

/** One sentence on the copies, as somebody would say it who stands beside. */
export function copiesInWords(model) {
  const leads = model.primary;
  const others = model.servers.filter(server => server !== leads && isUp(model.standing(server.name)));
  if (!leads || !isUp(model.standing(leads.name))) return "Nobody leads, so there is nothing to compare with.";
  if (!others.length) return `${leads.name} has the only copy that can be seen.`;
  const differs = others.filter(server => model.sameAs(server, leads) === false);
  if (differs.length) {
    return `${listed(differs.map(server => server.name))} ends at the same action as ${leads.name} with another history. ` +
      "What only it holds was never answered; it is rolled back when it joins.";
  }
  const behind = others.filter(server => model.behind(server) > 0);
  if (!behind.length) return "All copies that can be seen are equal: same action id, same digest.";
  const by = behind.map(server => `${server.name} by ${number(model.behind(server))}`);
  return `Behind when last asked: ${listed(by)}. The servers are asked one after the other, so under load some difference is normal.`;
}

/** What a server had to give up: that nobody was told of it, and which change of the view decided that. */
function rolledBack(told, model) {
  const next = model.after(told.epoch);
  const cause = next ? ` The view of epoch ${next.epoch} decided that (${next.why ?? "cause not recorded"}).` : "";
  const why = `${told.server} had written ${counted(told.count, "entry", "entries")} in epoch ${told.epoch} that no other copy in sync had. ` +
    (told.count === 1 ? "It was confirmed to nobody, and another server led without it, so it went" :
      "They were confirmed to nobody, and another server led without them, so they went") + ` when ${told.server} came back.${cause}`;
  const lines = told.entries.map(entry => make("li", {text: `action ${number(entry.action_id)}: ` + (entry.call ? `${entry.call}, ` : `${entry.kind ?? "cancelled"} `) +
    `${entry.amount === undefined || entry.amount === null ? "" : `${number(entry.amount)}, `}` +
    `${entry.account === undefined || entry.account === null ? "" : `account ${accounts(entry)}, `}request ${shortRequestId(entry.request_id)}`}));
  const left = told.count - told.entries.length;
  return make("li", {}, make("p", {}, make("time", {text: timeOfDay(told.noticed_ms)}), " ", why), make("details", {},
    make("summary", {text: "What it was"}), make("ul", {}, ...lines),
    make("p", {class: "note"}, left > 0 ? `${counted(left, "earlier one is", "earlier ones are")} not listed. ` : "", "All of it is in ", make("code", {text: told.record}))));
}

/** The servers that hold an action, as far as they were asked since. */
function holders(call, model) {
  if (!call.action_id) return "–";
  const names = model.servers.filter(server => isUp(model.standing(server.name)) && server.action_id >= call.action_id).map(server => server.name);
  return names.join(", ") || "–";
}

/** The account that something is about; of a transfer both. */
const accounts = about => about.to === null || about.to === undefined ? `${about.account}` : `${about.account} to ${about.to}`;

function callRow(call, model) {
  if (model.servesClass) return methodRow(call, model);
  const account = call.account === null || call.account === undefined ? "" : ` account ${accounts(call)}`;
  const what = call.what === "balance" ? "look up" : call.what;
  const amount = call.amount ? ` ${number(call.amount)},` : "";
  return {
    tone: tone(call),
    texts: [exactTime(call.t), `${what}${amount}${account}`,
      call.again ? `${outcome(call.outcome)}, sent again` : outcome(call.outcome), number(call.balance),
      number(call.action_id), micros(call.took_us), holders(call, model), shortRequestId(call.request_id), call.message ?? ""],
    titles: [null, null, null, null, null, null, null, requestId(call.request_id), null],
  };
}

const tone = call => ({done: null, declined: "warn", refused: "warn", in_doubt: "bad"}[call.outcome] ?? null);

/** Of a class: the call as one would write it, and what it returned or raised. */
function methodRow(call, model) {
  const came = call.error ? "raised" : outcome(call.outcome), result = call.error ?? call.value ?? "–";
  return {
    tone: tone(call),
    texts: [exactTime(call.t), short(call.call ?? call.what), call.again ? `${came}, sent again` : came, short(result),
      number(call.action_id), micros(call.took_us), holders(call, model), shortRequestId(call.request_id), call.message ?? ""],
    titles: [null, call.call ?? null, null, result, null, null, null, requestId(call.request_id), null],
  };
}

const short = text => (text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`);
