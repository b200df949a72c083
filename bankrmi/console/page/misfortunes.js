// The buttons that break the bank: a card a server, what `hello.misfortunes` offers on it, and what was done.
//
// Rule 1: a button that can do nothing now stays where it is, can be reached by the keyboard, and says why.
// Rule 2: what is done is said in one sentence, with the command that does the same in a terminal.
// Rule 3: deleting a disk takes two clicks.

import {byId, make, mark, say} from "./elements.js";
import {isUp} from "./model.js";
import {duration, inWords, timeOfDay} from "./wording.js";

const SHOWN = 6, SURE_MS = 4000;

/** Why this misfortune cannot be done to this server now; "" if it can. Pure. */
export function cannotNow(id, server, model) {
  const is = server?.process ?? "unknown";
  const runs = is === "running" || is === "unknown";
  switch (id) {
    case "kill": return is === "gone" ? `${server.name} is gone already.` : "";
    case "stop": return is === "gone" ? `${server.name} is gone already.` : is === "stopped" ? `${server.name} is paused: resume it first.` : "";
    case "pause": return runs ? "" : is === "stopped" ? `${server.name} is paused already.` : `${server.name} is gone.`;
    case "resume": return is === "stopped" || is === "unknown" ? "" : `${server.name} is not paused.`;
    case "start": return is === "gone" || is === "unknown" ? "" : `${server.name} has a process.`;
    case "wipe": return is === "gone" ? "" : `${server.name} runs: stop or kill it first.`;
    case "switchover":
      if (model.view?.primary === server.name) return `${server.name} leads already.`;
      if (!isUp(model.standing(server.name))) return `${server.name} is not up.`;
      return model.view?.in_sync.includes(server.name) ? "" : `${server.name} is not in sync.`;
    default: return "";
  }
}

export class Misfortunes {
  #offered = ""; #cards = new Map(); #shown = "";

  /** `announce(sentence)` says it aloud, too. */
  constructor(asking, announce) {
    this.asking = asking;
    this.announce = announce;
    this.said = make("p", {class: "said"});
    this.command = make("p", {class: "command"});
    this.#tokenForm();
    this.list = make("ol", {class: "done-list"});
    byId("done-to-it").append(make("h3", {text: "What was done, and what the console noticed"}), this.list);
  }

  #tokenForm() {
    const input = make("input", {id: "token", type: "password", autocomplete: "off", required: true});
    const form = make("form", {onsubmit: event => { event.preventDefault(); this.asking.use(input.value); input.value = ""; }},
      make("p", {text: "The buttons need the token that the terminal printed. Open the link from there, or paste the token here."}),
      make("div", {class: "fields"}, make("label", {for: "token"}, "Token", input), make("button", {type: "submit", text: "Use it"})));
    byId("token-wanted").append(form);
  }

  render(model, now) {
    if (!model.hello) return;
    const wantsToken = !this.asking.hasToken && (model.hello.misfortunes ?? []).some(offer => !offer.needs);
    byId("token-wanted").hidden = !wantsToken;
    this.#layOut(model);
    for (const card of this.#cards.values()) this.#renderCard(card, model, now);
    this.#renderDone(model);
  }

  #layOut(model) {
    const offers = model.hello.misfortunes ?? [];
    const names = Object.keys(model.hello.servers ?? {});
    const key = JSON.stringify([offers, names]);
    if (key === this.#offered) return;
    this.#offered = key;
    this.#cards.clear();
    for (const name of names) this.#cards.set(name, card(name, name));
    for (const offer of offers) {
      const targets = offer.targets ?? [];
      for (const target of targets.filter(target => this.#cards.has(target))) this.#add(offer, target);
      const elsewhere = targets.filter(target => !names.includes(target));
      for (const target of targets.length ? elsewhere : [""]) {
        if (!this.#cards.has("")) this.#cards.set("", card("", "The whole bank"));
        this.#add(offer, target, "");
      }
    }
    const whole = this.#cards.get("") ?? card("", "");
    whole.element.append(make("div", {class: "told"}, this.said, this.command));
    const ofServers = [...this.#cards.values()].filter(card => card !== whole).map(card => card.element);
    byId("misfortunes").replaceChildren(make("div", {class: "cards"}, ...ofServers), whole.element);
  }

  #add(offer, target, place = target) {
    const card = this.#cards.get(place);
    const text = place === "" && target && target !== "bank" ? `${offer.label}: ${target}` : offer.label;
    const button = make("button", {type: "button", "data-misfortune": offer.id, text});
    const entry = {offer, target, button, text, sure: 0};
    button.addEventListener("click", () => this.#click(card, entry));
    card.entries.push(entry);
    card.buttons.append(button);
  }

  #renderCard(card, model, now) {
    const server = model.server(card.name), standing = card.name ? model.standing(card.name) : null;
    mark(card.element, "data-standing", standing);
    if (card.name) say(card.is, isInWords(server, standing));
    for (const entry of card.entries) {
      entry.why = entry.offer.needs || (this.asking.hasToken ? "" : "Needs the token that the terminal printed.") ||
        (server ? cannotNow(entry.offer.id, server, model) : "");
      mark(entry.button, "aria-disabled", entry.why ? "true" : null);
      mark(entry.button, "title", entry.why || null);
      if (entry.sure && now > entry.sure) { entry.sure = 0; say(entry.button, entry.text); mark(entry.button, "data-sure", null); }
    }
    const needs = [...new Set(card.entries.map(entry => entry.offer.needs).filter(Boolean))];
    say(card.needs, needs.length === 1 ? needs[0] : "");
  }

  async #click(card, entry) {
    if (entry.why) return this.#tell(entry.why);
    if (entry.offer.id === "wipe" && !entry.sure) {
      entry.sure = Date.now() + SURE_MS;
      mark(entry.button, "data-sure", true);
      say(entry.button, "Press again to delete it");
      return this.#tell(`All that ${card.name} holds will be gone. Another copy has it, if one is in sync.`);
    }
    entry.sure = 0;
    mark(entry.button, "data-sure", null);
    say(entry.button, entry.text);
    say(this.said, "Asked …");
    const answer = await this.asking.ask("misfortune", {id: entry.offer.id, target: entry.target, undo: false});
    this.#tell(answer.ok ? answer.said ?? "Done." : answer.error, answer.command);
  }

  #tell(sentence, command = null) {
    say(this.said, sentence);
    this.announce(sentence);
    this.command.replaceChildren(...(command ? ["The same in a terminal: ", make("code", {text: command})] : []));
  }

  #renderDone(model) {
    const told = [...model.faults.slice(-SHOWN), ...model.notes.slice(-SHOWN)]
      .sort((one, other) => (other.since_ms ?? other.t) - (one.since_ms ?? one.t)).slice(0, SHOWN);
    const key = JSON.stringify(told.map(event => [event.id ?? event.t, event.until_ms]));
    if (key === this.#shown) return;
    this.#shown = key;
    byId("done-to-it").hidden = told.length === 0;
    this.list.replaceChildren(...told.map(event => (event.kind === "note" ? noteLine(event) : faultLine(event))));
  }
}

function isInWords(server, standing) {
  if (server && !server.reachable && server.reason) return `${inWords(standing)}: ${server.reason}`;
  return `${inWords(standing)}${server?.pid ? `, pid ${server.pid}` : ""}`;
}

function faultLine(fault) {
  const lasted = fault.until_ms ? fault.until_ms - fault.since_ms : 0;
  return make("li", {"data-what": fault.what}, make("time", {text: timeOfDay(fault.since_ms)}),
    make("span", {text: `${fault.words}${lasted > 50 ? ` It lasted ${duration(lasted)}.` : ""}`}),
    fault.command ? make("code", {text: fault.command}) : "");
}

const noteLine = note => make("li", {"data-what": note.level}, make("time", {text: timeOfDay(note.t)}), make("span", {text: note.text}));

function card(name, title) {
  const is = make("span", {class: "is"}), buttons = make("div", {class: "buttons"}), needs = make("p", {class: "why"});
  const element = make("article", {class: name ? "card" : "card whole", "aria-label": title || "What was done"},
    title ? make("h4", {}, make("b", {text: title}), " ", is) : "", buttons, needs);
  return {name, element, is, buttons, needs, entries: []};
}
