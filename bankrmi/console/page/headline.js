// The first line of the page: who leads, and is the money safe? And what a screen reader is told of it.
//
// Rule 1: `headline` is pure: the model's state in, one sentence, its reason and a tone out.
// Rule 2: one polite live region for the page. It tells changes of the view, and the console's end; nothing else.

import {byId, make, mark, say} from "./elements.js";
import {isUp} from "./model.js";
import {cause, counted, duration, listed, timeOfDay} from "./wording.js";

const RIBBON = 6;

const whatItIs = {
  gone: "is gone", paused: "is frozen", silent: "says nothing", unreachable: "cannot be reached",
  starting: "is starting", joining: "is catching up", deposed: "still believes it leads", unknown: "has not been seen yet",
};

/** Return {tone: good|warn|bad|wait, title, lead}; `live`: one can do something about it. */
export function headline(model, {live = true} = {}) {
  if (!model.hello) return {tone: "wait", title: "Connecting to the console", lead: ""};
  if (!model.state) return {tone: "wait", title: "The console is asking the bank", lead: ""};
  const {view, keeper} = model.state;
  if (!view) return {tone: "bad", title: "Nobody can say who leads", lead: keeperGone(keeper) || "No server has a view yet."};
  const notes = [keeperGone(keeper), namesGone(model.state.nameserver), pausedNote(view)].filter(Boolean);
  const told = model.standing(view.primary) === "primary" ? ledBy(model, view, live) : withoutPrimary(model, view);
  return {...told, lead: [told.lead, ...notes].join(" "), tone: notes.length && told.tone === "good" ? "warn" : told.tone};
}

function ledBy(model, view, live) {
  const others = view.in_sync.filter(name => name !== view.primary);
  const away = others.filter(name => !isUp(model.standing(name)));
  if (others.length === 0) {
    return {tone: "warn", title: `${view.primary} leads alone`,
      lead: `Calls are answered, and there is one copy only. ${nextCopy(model, view, live)}`};
  }
  if (away.length) {
    return {tone: "warn", title: `${view.primary} leads; ${away[0]} ${whatItIs[model.standing(away[0])] ?? "is away"}`,
      lead: `No answer leaves until ${view.primary} may go on without ${listed(away)}.`};
  }
  return {tone: "good", title: `${view.primary} leads; ${listed(others)} ${others.length === 1 ? "is" : "are"} in sync`,
    lead: `Whatever was answered is on ${counted(view.in_sync.length, "disk", "disks")}.${live ? " Break one of them, and see." : ""}`};
}

function nextCopy(model, view, live) {
  const joining = model.servers.filter(server => model.standing(server.name) === "joining").map(server => server.name);
  if (joining.length) return `${listed(joining)} ${joining.length === 1 ? "is" : "are"} catching up.`;
  const away = model.servers.filter(server => server.name !== view.primary).map(server => server.name);
  return live && away.length ? `Bring ${away.join(" or ")} back before you break ${view.primary}.` : "";
}

function withoutPrimary(model, view) {
  const is = whatItIs[model.standing(view.primary)] ?? `is ${model.standing(view.primary)}`;
  const heirs = model.inSyncAndUp.filter(name => name !== view.primary);
  if (heirs.length) {
    const waits = model.standing(view.primary) === "gone"
      ? `Its address refuses connections, and that proves it is gone: ${heirs[0]} need not wait.`
      : `${heirs[0]} cannot know whether ${view.primary} is dead or only slow, so it waits until the lease of ${view.primary} has run out.`;
    return {tone: "bad", title: `${view.primary} ${is}; ${heirs[0]} is about to take over`, lead: waits};
  }
  if (model.servers.some(server => isUp(model.standing(server.name)))) {
    return {tone: "bad", title: `${view.primary} ${is}, and nobody else may lead`,
      lead: `Only ${listed(view.in_sync)} ${view.in_sync.length === 1 ? "has" : "have"} every answered action. The others wait for that.`};
  }
  return {tone: "bad", title: "No server is up",
    lead: `No call is answered. Nothing that was answered is lost: it is on the disk of ${listed(view.in_sync)}.`};
}

const keeperGone = keeper =>
  keeper && !keeper.reachable ? `Who keeps the view does not answer (${keeper.reason || "no reason given"}): calls go on, takeovers wait.` : "";

const namesGone = names =>
  names && !names.reachable ? "The name server does not answer: whoever knows a server goes on calling it." : "";

const pausedNote = view =>
  view.paused ? `Automatic takeover is paused by ${view.paused.by}${view.paused.reason ? `: ${view.paused.reason}` : ""}.` : "";

/** What is said aloud of a change of the view. */
export function announcement(view) {
  const gap = view.took_ms ? ` No call was answered for ${duration(view.took_ms)}.` : "";
  const copies = view.in_sync.length === 1 ? " It is the only copy." : "";
  const what = view.led_before && view.led_before !== view.primary ? `Takeover: ${view.primary} leads now` : `${view.primary} leads`;
  return `${what}, epoch ${view.epoch}: ${view.why ?? cause(view.cause_kind)}.${gap}${copies}`;
}

export class Headline {
  #ribbonOf = "";

  render(model) {
    const {tone, title, lead} = headline(model);
    mark(byId("headline"), "data-tone", tone);
    say(byId("headline-text"), title);
    say(byId("lead"), lead);
    say(byId("service"), model.serviceInWords ? `· ${model.serviceInWords}` : "");
    say(byId("version"), model.hello?.version ? `bankrmi ${model.hello.version}.` : "");
    mark(document.documentElement, "data-tone", tone);
    const newTitle = model.view ? `${title} · bankrmi` : "bankrmi console";
    if (document.title !== newTitle) document.title = newTitle;
    this.#renderRibbon(model.views.slice(-RIBBON).reverse());
  }

  #renderRibbon(views) {
    const shown = JSON.stringify(views.map(view => [view.epoch, view.took_ms]));
    if (shown === this.#ribbonOf) return;
    this.#ribbonOf = shown;
    byId("ribbon").replaceChildren(...views.map(view => make("li", {"data-cause": view.cause_kind, title: view.why},
      make("b", {text: `epoch ${view.epoch}`}),
      make("span", {text: `${view.primary} leads${others(view)}`}),
      make("span", {class: "soft", text: [cause(view.cause_kind), view.took_ms ? duration(view.took_ms) : null,
        timeOfDay(view.changed_ms ?? view.t)].filter(Boolean).join(" · ")}))));
  }

  announce(text) { say(byId("announced"), text); }
}

function others(view) {
  const names = view.in_sync.filter(name => name !== view.primary);
  return names.length ? `, with ${listed(names)}` : ", alone";
}
