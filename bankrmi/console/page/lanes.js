// Who was what, and what was done to whom: a lane a process, a row a link that was hit.
//
// Rule 1: how high a bar is says what a role does; its name stands in it where it fits.
// Rule 2: of a link the upper half is what the first sends, the lower half what the second sends.
// Rule 3: where a lot happened on little room, marks are thin and without words.

import {faultColour, paintGlyph} from "./glyphs.js";
import {BOLD, FONT} from "./pen.js";
import {faultVerb, inWords} from "./wording.js";

const SERVER = 46, OTHER = 28, LINK = 20, DENSE_MS = 150000;
const HEIGHTS = {primary: 27, deposed: 27, standby: 15, joining: 8, starting: 4, serving: 5};
const CLIENTS = "clients", BANK = "the bank", MOST_LINKS = 60;

/** What there is a lane for: [{name, kind, height, spans, faults}], from top to bottom; clients and links only if they were hit then. */
export function lanesOf(model, {from, until}) {
  const lanes = [...model.lanes].map(([name, spans]) => lane(name, "server", SERVER, spans));
  lanes.push(...[...model.keepers].map(([name, spans]) => lane(name, "keeper", OTHER, spans)));
  const named = new Map(lanes.map(lane => [lane.name, lane])), links = new Map();
  const isWithin = fault => fault.since_ms <= until && (fault.until_ms ?? Infinity) >= from;
  const placed = name => {
    if (!named.has(name)) named.set(name, lane(name, "group", OTHER, []));
    return named.get(name);
  };
  const shown = name => (model.clients.includes(name) ? CLIENTS : name);
  for (const fault of model.faults) {
    if (fault.toward) {
      if (isWithin(fault)) addLink(links, fault, shown, [...named.keys()]);
    } else if (named.has(shown(fault.whom))) named.get(shown(fault.whom)).faults.push(fault);
    else if (isWithin(fault)) placed(shown(fault.whom) === CLIENTS ? CLIENTS : BANK).faults.push(fault);
  }
  const rows = [...links.values()].sort((one, other) => one.rank - other.rank || (one.name < other.name ? -1 : 1));
  return [...named.values(), ...rows.slice(0, MOST_LINKS)];
}

const lane = (name, kind, height, spans) => ({name, kind, height, spans, faults: []});

function addLink(links, fault, shown, order) {
  const sender = shown(fault.whom), receiver = shown(fault.toward);
  const place = name => (order.includes(name) ? order.indexOf(name) : order.length);
  const [first, second] = [sender, receiver].sort((one, other) => place(one) - place(other) || (one < other ? -1 : 1));
  const name = `${first} – ${second}`;
  if (!links.has(name)) links.set(name, {...lane(name, "link", LINK, []), rank: [sender, receiver].includes(CLIENTS) ? 1 : 0});
  links.get(name).faults.push({...fault, half: fault.both_ways ? "both" : sender === first ? "there" : "back"});
}

export function paintNames(pen, lanes, top) {
  for (const {name, kind, height} of lanes) {
    const font = kind === "link" ? FONT : BOLD, colour = kind === "link" ? "soft" : "ink";
    pen.text(pen.shortened(name.replace(/^https?:\/\//, ""), pen.left - 16, font), 12, top + height - (kind === "server" ? 13 : 9), colour, {font});
    top += height;
    pen.fill(0, top - 1, pen.width, 1, "faint");
  }
}

export function paintLanes(pen, lanes, top, now) {
  const dense = pen.until - pen.from > DENSE_MS;
  for (const {kind, height, spans, faults} of lanes) {
    if (kind === "link") paintLink(pen, faults, top, now, dense);
    else {
      for (const span of spans) {
        const until = span.until ?? now;
        if (pen.shows(span.from, until)) paintSpan(pen, span, until, top + height - 4, kind);
      }
      faults.forEach((fault, at) => paintFault(pen, fault, top, faults[at + 1]?.since_ms ?? Infinity, now, dense));
    }
    top += height;
  }
}

function paintSpan(pen, {standing, role, epoch, from}, until, bottom, kind) {
  const height = HEIGHTS[standing];
  if (standing === "unknown") return;
  if (standing === "joining" || standing === "deposed") {
    pen.stripes(from, until, bottom - height, height, standing === "joining" ? "joining" : "primary");
  } else if (standing === "serving") pen.block(from, until, bottom - height, height, "starting");
  else if (height) pen.block(from, until, bottom - height, height, standing, {least: .6});
  else if (standing === "paused") {
    if (HEIGHTS[role]) pen.block(from, until, bottom - HEIGHTS[role], HEIGHTS[role], role === "joining" ? "starting" : role, {opacity: .35});
    pen.stripes(from, until, bottom - (HEIGHTS[role] ?? (kind === "server" ? 20 : 8)), HEIGHTS[role] ?? (kind === "server" ? 20 : 8), "pause");
  } else pen.dashes(from, until, bottom - 2, "kill");
  const isNamedAlready = standing === "serving" || (standing === "paused" && HEIGHTS[role]);
  if (kind === "server" && !isNamedAlready) nameSpan(pen, {standing, epoch, from}, until, bottom, height);
}

function nameSpan(pen, {standing, epoch, from}, until, bottom, height) {
  const x = Math.max(pen.left, pen.x(from)) + 5, room = Math.min(pen.right, pen.x(until)) - x - 4;
  const font = standing === "primary" ? BOLD : FONT, long = epoch ? `${inWords(standing)} · epoch ${epoch}` : inWords(standing);
  const words = [long, inWords(standing)].find(words => pen.widthOf(words, font) <= room);
  if (!words) return;
  if (standing === "primary") pen.text(words, x, bottom - 9, "on-primary", {font});
  else if (standing === "standby") pen.text(words, x, bottom - 18, "soft");
  else pen.text(words, x, bottom - (height ?? (standing === "paused" ? 20 : 2)) - 3, isAway(standing) ? "bad" : "soft");
}

const isAway = standing => ["gone", "silent", "unreachable"].includes(standing);

/** What has no end yet goes on; of a kill it is told when the server is back. */
const untilOf = (fault, now) => fault.until_ms ?? (fault.what === "kill" ? fault.since_ms : now);

function paintFault(pen, fault, top, next, now, dense) {
  const until = untilOf(fault, now), colour = faultColour(fault.what), height = dense ? 6 : 12;
  if (!pen.shows(fault.since_ms, until)) return;
  pen.block(fault.since_ms, until, top + 1, height, colour, {opacity: .26});
  pen.fill(pen.x(fault.since_ms), top + 1, dense ? 1.5 : 2.5, height, colour);
  if (!dense) nameFault(pen, fault, top + 1, Math.min(pen.x(next), Math.max(pen.x(until), pen.x(fault.since_ms) + 130)), colour);
}

function nameFault(pen, fault, top, end, colour) {
  const x = Math.max(pen.left, pen.x(fault.since_ms)) + 5, words = faultVerb(fault.what);
  if (end - x < 14) return;
  paintGlyph(pen.context, fault.what, x, top, pen.colour(colour));
  if (pen.widthOf(words, BOLD) + 18 <= end - x) pen.text(words, x + 15, top + 10, colour, {font: BOLD});
}

function paintLink(pen, faults, top, now, dense) {
  const height = LINK - 3;
  pen.fill(pen.left, top + 1, pen.right - pen.left, height, "fainter");
  pen.fill(pen.left, top + 1 + height / 2, pen.right - pen.left, 1, "faint");
  let named = -Infinity;
  for (const fault of faults) {
    const until = untilOf(fault, now), colour = faultColour(fault.what);
    if (!pen.shows(fault.since_ms, until)) continue;
    const y = top + 1 + (fault.half === "back" ? height / 2 : 0), high = fault.half === "both" ? height : height / 2;
    pen.block(fault.since_ms, until, y, high, colour, {opacity: fault.what === "slow" ? .14 : .3, least: 2});
    if (fault.what === "slow") pen.stripes(fault.since_ms, until, y, high, colour, {upright: true});
    pen.fill(pen.x(fault.since_ms), y, dense ? 1.5 : 2.5, high, colour);
    if (!dense && fault.half === "both" && fault.since_ms >= named) nameFault(pen, fault, y + 2.5, pen.x(until), colour);
    named = Math.max(named, until); // Another client's link, at the same time, is the same fault.
  }
}
