// What can be reckoned from a model: failovers and their spread, faults by whom they hit, what went on meanwhile.  Pure.
//
// Rule: a percentile is a value that was measured (nearest rank), never one between two.

import {cause, counted, faultKinds, faultNoun, number} from "./wording.js";

const REASONS = 4;

/** The smallest value that at least `percent` of them do not exceed; null if there are none. */
export const atPercent = (ordered, percent) => (ordered.length ? ordered[Math.max(0, Math.ceil(ordered.length * percent / 100) - 1)] : null);

/** How long the failovers of each cause took; the most frequent cause first. */
export function spreads(failovers) {
  const times = new Map();
  for (const failover of failovers) {
    if (!times.has(failover.cause)) times.set(failover.cause, []);
    times.get(failover.cause).push(failover.took_ms);
  }
  return [...times].map(([name, took]) => ({cause: name, took: took.sort((one, other) => one - other)}))
    .sort((one, other) => other.took.length - one.took.length || (one.cause < other.cause ? -1 : 1));
}

/** The failovers as they were told; else the changes of the view after which another one led. `took_ms` is null if nobody waited. */
export function failoversOf(model) {
  if (model.failovers.length) return model.failovers;
  return model.views.filter(view => view.led_before && view.led_before !== view.primary && !view.was_before).map(view => ({
    cause: cause(view.cause_kind), since_ms: gapOf(view)[0], took_ms: view.took_ms ?? null, old: view.led_before, new: view.primary, epoch: view.epoch,
  }));
}

/** Those of which it is known how long callers waited. */
export const feltFailovers = model => failoversOf(model).filter(failover => failover.took_ms !== null);

/** From when until when no call was answered around a change. */
export function gapOf(view) {
  const from = view.silent_since_ms ?? (view.changed_ms ?? view.t) - (view.took_ms ?? 0);
  return [from, from + (view.took_ms ?? 0)];
}

/** When nobody was answered: as it was told; else around changes of the view. */
export function silencesOf(model) {
  if (model.silences.length) return model.silences.map(silence => [silence.from_ms, silence.t]);
  return model.views.filter(view => view.took_ms).map(gapOf);
}

/** Those that are no part of another one: who is cut off loses several links by one fault. */
export const separate = faults => faults.filter(fault => !fault.part_of);

const untilOf = (fault, now) => fault.until_ms ?? now;

export const faultsWithin = (model, from, until) =>
  model.faults.filter(fault => fault.since_ms <= until && untilOf(fault, model.newest) >= from);

const failoversWithin = (model, from, until) =>
  failoversOf(model).filter(failover => failover.since_ms <= until && failover.since_ms + (failover.took_ms ?? 0) >= from);

/** Was there a primary all the time, as far as the servers knew? */
export function somebodyLed(model, from, until) {
  const led = [...model.lanes.values()].flat().filter(span => span.standing === "primary" && span.from <= until && (span.until ?? Infinity) >= from)
    .sort((one, other) => one.from - other.from);
  let reached = Math.max(from, ...[...model.lanes.values()].map(spans => spans[0]?.from ?? -Infinity));
  for (const span of led) {
    if (span.from > reached) return false;
    reached = Math.max(reached, span.until ?? Infinity);
  }
  return reached >= until;
}

/** What else went on in a stretch of time, in words. */
export function goingOn(model, from, until) {
  const faults = faultsWithin(model, from, until), reasons = faults.slice(0, REASONS).map(fault => fault.words.replace(/\.$/, ""));
  if (faults.length > REASONS) reasons.push(`${counted(faults.length - REASONS, "fault", "faults")} more`);
  if (!somebodyLed(model, from, until)) reasons.push("for a time nobody led");
  for (const failover of failoversWithin(model, from, until)) reasons.push(`${failover.new} took the lead (epoch ${failover.epoch})`);
  return reasons.join("; ") || "no fault";
}

const WHOM = ["primary", "standby", "a server", "the witness", "a client", "a link", "the bank"];

/** How often each kind of fault hit whom: {whom: [names], rows: [{kind, counts: Map, total}]}. */
export function faultsByKind(model) {
  const rows = new Map();
  for (const fault of separate(model.faults)) {
    if (!rows.has(fault.what)) rows.set(fault.what, {kind: fault.what, counts: new Map(), total: 0});
    const row = rows.get(fault.what), whom = whomOf(fault, model);
    row.counts.set(whom, (row.counts.get(whom) ?? 0) + 1);
    row.total += 1;
  }
  const hit = new Set([...rows.values()].flatMap(row => [...row.counts.keys()]));
  const known = WHOM.filter(whom => hit.has(whom));
  return {whom: known, rows: faultKinds([...rows.keys()]).map(kind => rows.get(kind))};
}

function whomOf(fault, model) {
  if (fault.toward) return "a link";
  if (model.clients.includes(fault.whom)) return "a client";
  if (model.keepers.has(fault.whom)) return "the witness";
  if (!model.lanes.has(fault.whom)) return "the bank";
  if (fault.was) return fault.was;
  if (!fault.led) return "a server";
  return fault.led === fault.whom ? "primary" : "standby";
}

/** "26 faults: 8 kills, 1 stop, …" */
export function faultsInWords(model) {
  const {rows} = faultsByKind(model), total = rows.reduce((sum, row) => sum + row.total, 0);
  const kinds = rows.map(row => `${number(row.total)} ${faultNoun(row.kind, row.total)}`);
  return `${counted(total, "fault", "faults")}${kinds.length ? `: ${kinds.join(", ")}` : ""}`;
}

/** What is worth a closer look: a typical failover, the slowest, then the longest silences; nothing twice. */
export function closerLooks(model, {count, failovers}) {
  const slowest = [...feltFailovers(model)].sort((one, other) => other.took_ms - one.took_ms || one.since_ms - other.since_ms);
  const longest = silencesOf(model).map(([from, until]) => ({from, until})).sort((one, other) => other.until - other.from - one.until + one.from);
  const chosen = [];
  const add = look => {
    if (!chosen.some(other => other.from <= look.of[0] && look.of[1] <= other.until)) chosen.push(look);
  };
  if (slowest.length) add(around(model, spanOf(slowest[slowest.length >> 1]), "A typical failover", slowest[slowest.length >> 1]));
  slowest.forEach((failover, place) => { if (chosen.length < failovers) add(around(model, spanOf(failover), rank(place, "slowest failover"), failover)); });
  longest.forEach((silence, place) => { if (chosen.length < count) add(around(model, [silence.from, silence.until], rank(place, "longest silence"), null)); });
  return chosen;
}

const spanOf = failover => [failover.since_ms, failover.since_ms + failover.took_ms];

const rank = (place, name) => (place > 2 ? `Number ${place + 1} of the ${name}s` : `The ${["", "second ", "third "][place]}${name}`);

/** Two seconds before to two seconds after, or as much as there is. */
function around(model, of, why, failover) {
  return {of, why, failover, from: Math.max(model.oldest, of[0] - 2000), until: Math.min(model.newest, of[1] + 2000)};
}

