// The buttons that break the bank: a card a process, one for the links, and what is broken now, with the way back.
//
// Rule 1: a button that can do nothing now stays where it is, can be reached by the keyboard, and says why; one
//         that has an opposite (freeze and thaw, stop and start) gives its place to that while it applies.
// Rule 2: what is done is said in one sentence, with the command that does the same in a terminal.
// Rule 3: what would lose something (a disk, a memory) takes two clicks.

import {byId, make, mark, say} from "./elements.js";
import {LinkDesk} from "./link_desk.js";
import {serving} from "./model.js";
import {duration, inWords, timeOfDay} from "./wording.js";

const SHOWN = 6, SURE_MS = 4000;
const OPPOSITE = {resume: "pause", start: "stop"};
const LOSES = {
  wipe: name => `All that ${name} holds will be gone. Another copy has it, if one is in sync.`,
  forget: () => "The bank goes on without it, but nobody can take over until you have it restored.",
};
const PLACES = ["server", "process", "disk", "witness"];

/** Why this misfortune cannot be done to this process now; "" if it can. Pure. */
export function cannotNow(id, name, model) {
  const server = model.server(name);
  const is = (server ?? model.state?.keeper)?.process ?? "unknown";
  switch (id) {
    case "kill": return is === "gone" ? `${name} is gone already.` : "";
    case "stop": return is === "gone" ? `${name} is gone already.` : is === "stopped" ? `${name} is frozen: thaw it first.` : "";
    case "pause": return is === "gone" ? `${name} is gone.` : "";
    case "wipe": return is === "gone" ? `${name} is gone: start it first.` : "";
    case "forget": return is === "gone" ? `${name} is gone.` : model.state?.view_from === name ? "" : `${name} holds no view.`;
    case "fill": return model.lasting("fill", name) ? `The disk of ${name} is full already.` : "";
    case "switchover": {
      const heir = model.inSyncAndUp.find(other => other !== model.view?.primary);
      return heir ? "" : "There is nobody in sync to hand over to.";
    }
    case "surprise": return model.view?.primary ? "" : "Nobody leads: that is surprise enough.";
    default: return "";
  }
}

/** Whether the second of two opposites applies: thaw, for who is frozen; start, for who is held down. Pure. */
export const applies = (id, name, model) =>
  (id === "resume" ? (model.server(name) ?? model.state?.keeper)?.process === "stopped"
    : (model.state?.down ?? []).includes(name) || Boolean(model.lasting("stop", name)));

export class Misfortunes {
  #laidOut = ""; #cards = new Map(); #shown = ""; #broken = "";

  /** `announce(sentence)` says it aloud, too. */
  constructor(asking, announce) {
    this.asking = asking;
    this.announce = announce;
    this.said = make("p", {class: "said"});
    this.command = make("p", {class: "command"});
    this.notHere = make("p", {class: "why"});
    this.links = new LinkDesk(body => this.#do(body), why => this.#tell(why));
    this.brokenList = make("ul", {class: "broken-list"});
    this.allBack = make("button", {type: "button", text: "Undo everything", onclick: () => this.#do({undo: "all"})});
    this.broken = make("section", {class: "broken", "aria-labelledby": "broken-title", hidden: true},
      make("h3", {id: "broken-title", text: "Broken now"}), this.brokenList, this.allBack);
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
    const offers = model.hello.misfortunes ?? [];
    byId("token-wanted").hidden = this.asking.hasToken || !offers.some(offer => !offer.needs);
    this.#layOut(offers, model);
    for (const card of this.#cards.values()) this.#renderCard(card, model, now);
    this.links.render(model, this.#whyNot());
    this.#renderBroken(model);
    this.#renderDone(model);
  }

  #whyNot(offer = null) {
    return offer?.needs || (this.asking.hasToken ? "" : "Needs the token that the terminal printed.");
  }

  #layOut(offers, model) {
    const key = JSON.stringify(offers);
    if (key === this.#laidOut) return;
    this.#laidOut = key;
    this.#cards.clear();
    const whole = card("", "The whole bank");
    this.#cards.set("", whole);
    for (const offer of offers) {
      const place = PLACES.includes(offer.of);
      for (const target of offer.of === "link" ? [] : offer.targets ?? []) {
        if (place && !this.#cards.has(target)) this.#cards.set(target, card(target, target));
        this.#add(this.#cards.get(place ? target : ""), offer, target, model);
      }
    }
    this.links.offer(offers.filter(offer => offer.of === "link"));
    say(this.notHere, notHere(offers));
    whole.element.append(make("div", {class: "told"}, this.said, this.command, this.notHere));
    const cards = [...this.#cards.values()].filter(card => card !== whole).map(card => card.element);
    byId("misfortunes").replaceChildren(make("div", {class: "cards"}, ...cards, this.links.element), this.broken, whole.element);
  }

  #add(card, offer, target) {
    const button = make("button", {type: "button", "data-misfortune": offer.id, text: offer.label});
    const entry = {offer, target, button, text: offer.label, sure: 0, opposite: null};
    button.addEventListener("click", () => this.#click(card, entry));
    const before = card.entries.find(other => other.offer.id === OPPOSITE[offer.id]);
    if (before) { before.opposite = entry; button.hidden = true; }
    card.entries.push(entry);
    card.buttons.append(button);
  }

  #renderCard(card, model, now) {
    const server = model.server(card.name), isKeeper = card.name !== "" && !server;
    const standing = server ? model.standing(card.name) : isKeeper ? serving(model.state?.keeper ?? {}) : null;
    mark(card.element, "data-standing", standing);
    if (card.name) say(card.is, isKeeper ? inWords(standing) : isInWords(server, standing));
    for (const entry of card.entries) {
      entry.why = this.#whyNot(entry.offer) || cannotNow(entry.offer.id, card.name, model);
      mark(entry.button, "aria-disabled", entry.why ? "true" : null);
      mark(entry.button, "title", entry.why || entry.offer.teaches || null);
      if (entry.sure && now > entry.sure) unsure(entry);
      if (entry.opposite) takeTurns(entry, entry.opposite, applies(entry.opposite.offer.id, card.name, model));
    }
  }

  async #click(card, entry) {
    if (entry.why) return this.#tell(entry.why);
    const loses = LOSES[entry.offer.id];
    if (loses && !entry.sure) {
      entry.sure = Date.now() + SURE_MS;
      mark(entry.button, "data-sure", true);
      say(entry.button, "Press again to do it");
      return this.#tell(loses(card.name));
    }
    unsure(entry);
    await this.#do({id: entry.offer.id, target: entry.target});
  }

  async #do(body) {
    say(this.said, "Asked …");
    this.command.replaceChildren();
    const answer = await this.asking.ask("misfortune", body);
    this.#tell(answer.ok ? `${answer.said ?? "done"}.` : answer.error, answer.command);
  }

  #tell(sentence, command = null) {
    say(this.said, sentence);
    this.announce(sentence);
    this.command.replaceChildren(...(command ? ["The same in a terminal: ", make("code", {text: command})] : []));
  }

  #renderBroken(model) {
    const lasting = model.faults.filter(fault => fault.until_ms === null && fault.undo);
    const why = this.#whyNot(), key = JSON.stringify([lasting.map(fault => [fault.id, fault.undo]), why]);
    if (key === this.#broken) return;
    this.#broken = key;
    const hadFocus = this.broken.contains(document.activeElement);
    this.broken.hidden = lasting.length === 0;
    mark(this.allBack, "aria-disabled", why ? "true" : null);
    this.brokenList.replaceChildren(...lasting.map(fault => make("li", {"data-what": fault.what},
      make("span", {text: `${fault.words} since ${timeOfDay(fault.since_ms)}`}),
      make("button", {type: "button", text: fault.undo, "aria-disabled": why ? "true" : null,
        "aria-label": `${fault.undo}: ${fault.words}`, onclick: () => (why ? this.#tell(why) : this.#do({undo: fault.id}))}))));
    if (hadFocus) (this.brokenList.querySelector("button") ?? this.#cards.get("")?.buttons.querySelector("button"))?.focus();
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

function unsure(entry) {
  entry.sure = 0;
  mark(entry.button, "data-sure", null);
  say(entry.button, entry.text);
}

/** Of two opposites one has the place; whoever was on the other by the keyboard is on this one now. */
function takeTurns(one, other, itApplies) {
  const [shown, hidden] = itApplies ? [other.button, one.button] : [one.button, other.button];
  if (!shown.hidden && hidden.hidden) return;
  const hadFocus = document.activeElement === hidden;
  shown.hidden = false;
  hidden.hidden = true;
  if (hadFocus) shown.focus();
}

/** What is not offered here, and why. */
function notHere(offers) {
  const reasons = new Map();
  for (const offer of offers.filter(offer => offer.needs)) reasons.set(offer.needs, [...reasons.get(offer.needs) ?? [], offer.label]);
  return [...reasons].map(([why, labels]) => (labels.length === offers.length ? why : `${labels.join(", ")}: ${why}`)).join(" ");
}

function isInWords(server, standing) {
  if (!server.reachable && server.reason && !["gone", "paused"].includes(standing)) return `${inWords(standing)}: ${server.reason}`;
  return `${inWords(standing)}${server.pid ? `, pid ${server.pid}` : ""}`;
}

function faultLine(fault) {
  const lasted = fault.until_ms ? fault.until_ms - fault.since_ms : 0;
  return make("li", {"data-what": fault.what}, make("time", {text: timeOfDay(fault.since_ms)}),
    make("span", {text: `${fault.words}${lasted > 50 ? `, for ${duration(lasted)}` : ""}`}),
    fault.command ? make("code", {text: fault.command}) : "");
}

const noteLine = note => make("li", {"data-what": note.level}, make("time", {text: timeOfDay(note.t)}), make("span", {text: note.text}));

function card(name, title) {
  const is = make("span", {class: "is"}), buttons = make("div", {class: "buttons"});
  const element = make("article", {class: name ? "card" : "card whole", "aria-label": title},
    make("h4", {}, make("b", {text: title}), " ", is), buttons);
  return {name, element, is, buttons, entries: []};
}
