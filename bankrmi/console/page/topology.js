// The bank as a picture: clients above, servers in a row, who keeps the view below; links in both directions.
//
// Rule 1: what a colour says, a word says too, and the picture's description says all of it in words.
// Rule 2: the picture is laid out in pixels for the width there is, so that its words stay readable on a phone.
// Rule 3: a dot is a sample. The console tells of states, not of every checkpoint; the note below says so.

import {byId, draw, mark, say} from "./elements.js";
import {isUp} from "./model.js";
import {inWords, number} from "./wording.js";

const BOX = {height: 112, most: 210, least: 118, gap: 78};
const DOT_EVERY_MS = 300, DOT_TAKES_MS = 700, DOTS = 24;
const TOP = 42, SERVERS_AT = 80, KEEPER_AT = SERVERS_AT + BOX.height + 40, KEEPER_HEIGHT = 46, MEMBER = {width: 64, height: 22, gap: 8};

export class Topology {
  #svg; #laidOut = ""; #boxes = new Map(); #links = []; #dots; #sent = 0; #action = 0; #still;

  constructor() {
    this.#still = matchMedia("(prefers-reduced-motion: reduce)");
    this.title = draw("title", {id: "drawing-title", text: "The servers and their links"});
    this.description = draw("desc", {id: "drawing-description"});
    this.#svg = draw("svg", {role: "img", "aria-labelledby": "drawing-title", "aria-describedby": "drawing-description"});
    this.holder = byId("topology-drawing");
    this.holder.append(this.#svg);
    new ResizeObserver(() => { this.#laidOut = ""; this.wanted?.(); }).observe(this.holder);
  }

  render(model, now) {
    if (!model.state) return;
    const names = model.servers.map(server => server.name);
    const width = Math.max(this.holder.clientWidth, names.length * BOX.least + (names.length - 1) * BOX.gap + 24);
    const members = (model.state.keeper?.members ?? []).map(member => member.name);
    const key = `${width} ${names} ${model.hello.keeper} ${members}`;
    if (key !== this.#laidOut) this.#layOut(names, width, model.hello.keeper, members, key);
    for (const server of model.servers) this.#showServer(server, model);
    for (const link of this.#links) this.#showLink(link, model);
    this.#showClients(model, now);
    this.#showKeeper(model);
    this.#sendDots(model, now);
    say(this.description, described(model));
    say(byId("topology-note"), this.#note(model));
  }

  #layOut(names, width, keeper, members, key) {
    this.#laidOut = key;
    mark(this.holder, "tabindex", width > this.holder.clientWidth ? 0 : null);  // What scrolls can be scrolled by keys.
    mark(this.holder, "role", width > this.holder.clientWidth ? "group" : null);
    mark(this.holder, "aria-labelledby", width > this.holder.clientWidth ? "topology-title" : null);
    this.#boxes.clear();
    this.#links = [];
    const room = (width - 24 + BOX.gap) / names.length - BOX.gap;
    const wide = Math.min(BOX.most, Math.max(BOX.least, room));
    const gap = names.length > 1 ? Math.min(260, (width - 24 - names.length * wide) / (names.length - 1)) : 0;
    const left = (width - names.length * wide - (names.length - 1) * gap) / 2;
    const height = KEEPER_AT + KEEPER_HEIGHT + (members.length ? MEMBER.height + 8 : 0) + 10;
    mark(this.#svg, "viewBox", `0 0 ${width} ${height}`);
    mark(this.#svg, "width", width);
    mark(this.#svg, "height", height);
    names.forEach((name, at) => this.#boxes.set(name, box(left + at * (wide + gap), wide)));
    this.clients = clientsBox(width / 2);
    this.keeper = keeperBox(width / 2, keeper, members);
    this.#dots = draw("g", {class: "dots"});
    const wits = keeper === "etcd" ? "etcd" : "witness";
    for (const [place, from] of names.entries()) {
      for (const [other, to] of names.entries()) if (from !== to) this.#links.push(this.#serverLink(from, to, place, other));
      for (const down of [true, false]) this.#links.push(keeperLink(from, wits, this.#boxes.get(from), width / 2, down));
    }
    this.callLinks = names.map(name => callLink(name, this.#boxes.get(name), width / 2));
    this.#svg.replaceChildren(this.title, this.description, ...this.#links.map(link => link.element),
      ...this.callLinks.map(link => link.element), this.#dots, this.clients.element, this.keeper.element,
      ...[...this.#boxes.values()].map(box => box.element));
  }

  /** One direction between two servers: there above, back below; not over a server that stands between them. */
  #serverLink(from, to, place, other) {
    const a = this.#boxes.get(from), b = this.#boxes.get(to), right = other > place;
    const start = right ? a.x + a.width : a.x, end = right ? b.x : b.x + b.width;
    const y = SERVERS_AT + BOX.height / 2 + (right ? -13 : 13);
    const far = Math.abs(other - place) > 1;
    const bend = far ? (right ? SERVERS_AT - 26 : SERVERS_AT + BOX.height + 26) : y;
    const path = far
      ? `M${start - (right ? 20 : -20)} ${right ? SERVERS_AT : SERVERS_AT + BOX.height}C${start} ${bend} ${end} ${bend} ${end + (right ? 20 : -20)} ${right ? SERVERS_AT : SERVERS_AT + BOX.height}`
      : `M${start + (right ? 3 : -3)} ${y}H${end - (right ? 9 : -9)}`;
    return {kind: "server", from, to, ...lineWith(path, (start + end) / 2, far ? bend + (right ? 7 : -7) : y, far ? 0 : right ? 1 : -1, end, y)};
  }

  #showServer(server, model) {
    const box = this.#boxes.get(server.name), now = model.standing(server.name);
    mark(box.element, "data-standing", now);
    mark(box.element, "data-in-sync", model.view?.in_sync.includes(server.name) ? "yes" : "no");
    say(box.name, server.name);
    say(box.role, inWords(now));
    say(box.action, isUp(now) ? `action ${number(server.action_id)}` : "action not known");
    const inSync = model.view?.in_sync.includes(server.name) ? "in sync" : "not in sync";
    say(box.epoch, isUp(now) ? `epoch ${server.epoch ?? "–"} · ${inSync}` : inSync);
  }

  #showLink(link, model) {
    const state = linkState(link, model), late = model.lateness(link.from, link.to);
    const carries = link.kind === "server" && state === "whole" && link.from === model.view?.primary && isUp(model.standing(link.to));
    mark(link.element, "data-link", carries ? "carries" : state);
    mark(link.element, "data-late", late > 0 ? "yes" : null);
    say(link.late, late > 0 ? `${number(late)} ms late` : "");
  }

  #showClients(model, now) {
    const rate = model.callsPerSecond(now);
    say(this.clients.words, rate ? `clients · ${number(rate)} calls/s` : "clients · no calls");
    const answered = model.standing(model.view?.primary) === "primary";
    for (const link of this.callLinks) {
      const leads = link.name === model.view?.primary;
      mark(link.element, "data-link", leads ? (answered ? "carries" : "broken") : "hidden");
    }
  }

  #showKeeper(model) {
    const {keeper, view, view_from: source} = model.state;
    mark(this.keeper.element, "data-standing", keeper?.reachable ? "up" : "gone");
    (keeper?.members ?? []).forEach((member, at) => mark(this.keeper.members[at]?.element, "data-standing", member.reachable ? "up" : "gone"));
    const kept = view ? `epoch ${view.epoch}: ${view.primary} leads` : "no view";
    say(this.keeper.words, keeper?.reachable ? kept : source ? `silent · ${kept}, says ${source}` : "silent");
  }

  #sendDots(model, now) {
    const view = model.view, action = model.primary?.action_id ?? 0;
    const advanced = action > this.#action && this.#action > 0;
    this.#action = action;
    if (!view || !advanced || this.#still.matches || now - this.#sent < DOT_EVERY_MS || document.hidden) return;
    this.#sent = now;
    for (const link of this.#links) {
      if (link.kind !== "server" || link.from !== view.primary || link.element.dataset.link !== "carries") continue;
      if (this.#dots.childElementCount < DOTS) this.#sendDot(link);
    }
  }

  #sendDot(link) {
    const line = link.line, length = line.getTotalLength();
    const at = share => { const point = line.getPointAtLength(length * share); return `translate(${point.x}px, ${point.y}px)`; };
    const dot = draw("circle", {class: "dot", r: 4.5});
    this.#dots.append(dot);
    const frames = [0, .25, .5, .75, 1].map(share => ({transform: at(share)}));
    dot.animate(frames, {duration: DOT_TAKES_MS, easing: "ease-in-out"}).onfinish = () => dot.remove();
  }

  #note(model) {
    const still = this.#still.matches ? "No dots: motion is reduced, as your system asks." :
      "A dot is a checkpoint on its way from the primary. It is a sample: a few a second are shown, however many there are.";
    return model.servers.length > 1 ? still : "";
  }
}

function box(x, width) {
  const middle = x + width / 2, small = width < 150;
  const name = draw("text", {x: middle, y: SERVERS_AT + 27, class: "server-name"});
  const role = draw("text", {x: middle, y: SERVERS_AT + 48, class: "server-role"});
  const action = draw("text", {x: middle, y: SERVERS_AT + 74, class: small ? "server-fact small" : "server-fact"});
  const epoch = draw("text", {x: middle, y: SERVERS_AT + 94, class: "server-fact small"});
  const shape = draw("rect", {x, y: SERVERS_AT, width, height: BOX.height, rx: 12});
  return {x, width, name, role, action, epoch, element: draw("g", {class: "server"}, shape, name, role, action, epoch)};
}

function clientsBox(middle) {
  const words = draw("text", {x: middle, y: 28});
  return {words, element: draw("g", {class: "clients"}, draw("rect", {x: middle - 112, y: 8, width: 224, height: TOP - 10, rx: 16}), words)};
}

function keeperBox(middle, keeper, members) {
  const name = draw("text", {x: middle, y: KEEPER_AT + 20, class: "keeper-name", text: keeper === "etcd" ? "etcd" : "witness"});
  const words = draw("text", {x: middle, y: KEEPER_AT + 38, class: "server-fact small"});
  const wide = Math.max(224, members.length * (MEMBER.width + MEMBER.gap) + MEMBER.gap);
  const shape = draw("rect", {x: middle - wide / 2, y: KEEPER_AT, width: wide, height: KEEPER_HEIGHT + (members.length ? MEMBER.height + 8 : 0), rx: 10});
  const left = middle - (members.length * (MEMBER.width + MEMBER.gap) - MEMBER.gap) / 2;
  const boxes = members.map((member, at) => memberBox(member, left + at * (MEMBER.width + MEMBER.gap)));
  return {words, members: boxes, element: draw("g", {class: "keeper"}, shape, name, words, ...boxes.map(box => box.element))};
}

/** One of etcd's members; it is known by its address, of which the port fits. */
function memberBox(member, x) {
  const y = KEEPER_AT + KEEPER_HEIGHT, text = member.slice(member.lastIndexOf(":"));
  return {element: draw("g", {class: "member"}, draw("title", {text: member}),
    draw("rect", {x, y, width: MEMBER.width, height: MEMBER.height, rx: 6}),
    draw("text", {x: x + MEMBER.width / 2, y: y + 15.5, class: "server-fact small", text}))};
}

/** What a server asks who keeps the view, and the answer: two lines side by side. */
function keeperLink(name, keeper, box, middle, down) {
  const x = box.x + box.width / 2 + (down ? -6 : 6), y = SERVERS_AT + BOX.height;
  const end = middle + Math.max(-70, Math.min(70, (box.x + box.width / 2 - middle) * .4)) + (down ? -6 : 6);
  const places = down ? [x, y + 2, end, KEEPER_AT - 2] : [end, KEEPER_AT - 2, x, y + 2];
  const [from, to] = down ? [name, keeper] : [keeper, name];
  return {kind: "keeper", from, to, ...lineWith(`M${places[0]} ${places[1]}L${places[2]} ${places[3]}`, (x + end) / 2, (y + KEEPER_AT) / 2, 0)};
}

function callLink(name, box, middle) {
  const x = box.x + box.width / 2, start = middle + Math.max(-80, Math.min(80, (x - middle) * .5));
  return {name, ...lineWith(`M${start} ${TOP}L${x} ${SERVERS_AT - 3}`, (start + x) / 2, (TOP + SERVERS_AT) / 2, 0)};
}

/** A line, the x on it for when it is broken, how late it is, and the head of an arrow if it has a direction. */
function lineWith(path, x, y, direction, end, endY) {
  const line = draw("path", {class: "link-line", d: path});
  const cross = draw("path", {class: "link-cross", d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10`});
  const head = direction ? draw("path", {class: "link-head", d: `M${end - 3 * direction} ${endY}l${-8 * direction} -4.5v9z`}) : "";
  const late = draw("text", {class: "link-late", x, y: y + (direction > 0 ? -7 : 16)});
  return {line, late, element: draw("g", {class: "link"}, line, head, cross, late)};
}

/** idle: nobody to speak; broken: nothing is heard; cut: nothing passes that way, as somebody wanted it. */
function linkState(link, model) {
  if (model.isCut(link.from, link.to)) return "cut";
  const server = model.server(link.from) ?? model.server(link.to);  // One end is a server.
  if (!isUp(model.standing(server?.name))) return "idle";
  if (link.kind === "keeper") return model.state.keeper?.reachable ? "whole" : "broken";
  if (!server.connected) return "idle";
  if (server.connected.includes(link.to)) return "whole";
  return model.isCut(link.to, link.from) ? "unheard" : "broken";
}

function described(model) {
  const view = model.view;
  const cuts = (model.state.cut ?? []).map(way => `Nothing passes from ${way[0]} to ${way[1]}`);
  const late = (model.state.late ?? []).map(way => `What goes from ${way[0]} to ${way[1]} is ${way[2]} ms late`);
  const servers = model.servers.map(server => {
    const now = model.standing(server.name);
    const deaf = isUp(now) && server.connected ? model.servers.filter(other => other !== server && !server.connected.includes(other.name)) : [];
    const cut = deaf.length ? `, hears nothing of ${deaf.map(other => other.name).join(" and ")}` : "";
    return `${server.name}: ${inWords(now)}${isUp(now) ? `, action ${server.action_id}, epoch ${server.epoch}` : ""}${cut}`;
  });
  const keeper = model.hello.keeper === "etcd" ? "etcd" : "The witness";
  const deaf = (model.state.keeper?.members ?? []).filter(member => !member.reachable).map(member => `its member ${member.name} does not`);
  const kept = [model.state.keeper?.reachable ? `${keeper} answers` : `${keeper} does not answer`, ...deaf].join("; ");
  return `${[...servers, ...cuts, ...late].join(". ")}. ${kept}. ${view ? `Epoch ${view.epoch}: ${view.primary} leads; in sync: ${view.in_sync.join(", ")}.` : "No view."}`;
}
