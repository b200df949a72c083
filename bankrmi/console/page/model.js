// Events in, state out: what this page knows of the bank. It reads no clock and touches no element.
//
// The events are those of bankrmi/console/events.py, live or recorded.
//
// Rule 1: whatever is kept of a live bank is bounded; the oldest goes first. A recording is bounded by its file.
// Rule 2: every `hello` begins anew, for what happened in the last minutes follows it.
// Rule 3: an event of a kind that is not known here is left alone: who tells it may be newer than the page.

import {listed} from "./wording.js";

const KEPT = {views: 400, rates: 4000, decided: 4000, calls: 300, faults: 300, notes: 50, records: 40, spans: 600, silences: 300, samples: 20, usage: 600};
const SLOWEST = 50;
const SERVICES_NAMED = 4;

/** What a server is, as far as anybody can see: one word, which `wording.js` knows. */
export function standing(server, view) {
  if (!server) return "unknown";
  if (server.process === "stopped") return "paused";
  if (server.process === "gone") return "gone";
  if (!server.reachable) return server.role === undefined && server.process === "unknown" ? "unknown" : server.silent ? "silent" : "unreachable";
  if (server.role === "primary" && view && view.primary !== server.name && server.epoch < view.epoch) return "deposed";
  return server.role ?? "unknown";
}

/** The same of a process that has no role. */
export function serving(process) {
  if (process.process === "stopped") return "paused";
  if (process.process === "gone") return "gone";
  return process.reachable ? "serving" : "unreachable";
}

export const isUp = standing => ["primary", "standby", "joining", "starting", "deposed"].includes(standing);

export class Model {
  /** `whole`: nothing is forgotten. */
  constructor({whole = false} = {}) {
    this.whole = whole;
    this.version = 0;
    this.forget();
  }

  forget() {
    this.hello = null;
    this.run = null;
    this.state = null;
    this.verdict = null;
    this.views = [];
    this.rates = [];
    this.decided = [];
    this.calls = [];
    this.slowest = [];
    this.samples = [];
    this.leftOut = 0;
    this.faults = [];
    this.failovers = [];
    this.silences = [];
    this.notes = [];
    this.search = null;
    this.rolledBack = [];
    this.usage = new Map();
    this.lanes = new Map();
    this.keepers = new Map();
    this.oldest = null;
    this.newest = 0;
  }

  /** Take one event; returns true if it happened now, false if it is of the time before this page listened. */
  take(event) {
    if (event.kind === "hello") {
      this.forget();
      this.hello = event;
      for (const name of Object.keys(event.servers ?? {})) this.lanes.set(name, []);
    }
    this.version += 1;
    if (event.kind !== "hello" || event.told_by !== "console") this.oldest ??= event.t;
    this.newest = Math.max(this.newest, event.t);
    switch (event.kind) {
      case "run": this.run = event; break;
      case "state": this.#takeState(event); break;
      case "view": this.#takeView(event); break;
      case "rate": this.#takeRate(event); break;
      case "decided": this.#keep(this.decided, event, KEPT.decided); break;
      case "call": this.#takeCall(event); break;
      case "sample": this.#keep(this.samples, event, KEPT.samples); break;
      case "fault": this.#takeFault(event); break;
      case "offers": if (this.hello) this.hello.misfortunes = event.misfortunes; break;
      case "rules": if (this.hello) this.hello.rules = event.rules; break;
      case "search": this.search = event; break;
      case "rolled_back": this.#takeRolledBack(event); break;
      case "silence": this.#keep(this.silences, event, KEPT.silences); break;
      case "failover": this.#takeFailover(event); break;
      case "usage": this.#takeUsage(event); break;
      case "verdict": this.verdict = event; break;
      case "note": this.#keep(this.notes, event, KEPT.notes); break;
    }
    return event.t >= (this.hello?.t ?? Infinity);
  }

  #keep(list, value, most) {
    list.push(value);
    if (!this.whole && list.length > most * 1.2) list.splice(0, list.length - most);
  }

  #takeState(event) {
    this.state = event;
    for (const server of event.servers ?? []) this.#extend(this.lanes, server, standing(server, event.view), event.t);
    const keeper = event.keeper ?? {}, members = keeper.members ?? [];
    for (const member of members) this.#extend(this.keepers, member, serving(member), event.t);
    if (!members.length) this.#extend(this.keepers, {name: this.hello?.keeper ?? "witness", ...keeper}, serving(keeper), event.t);
    else if (event.nameserver?.name) this.#extend(this.keepers, event.nameserver, serving(event.nameserver), event.t);
  }

  /** A lane is a list of spans, each of which ends where the next one begins. */
  #extend(lanes, {name, role, epoch}, now, t) {
    if (!lanes.has(name)) lanes.set(name, []);
    const lane = lanes.get(name), last = lane.at(-1);
    const known = now === "starting" || now === "joining" ? null : epoch ?? null;
    if (last && last.standing === now && last.epoch === known) return;
    if (last) last.until = t;
    this.#keep(lane, {standing: now, role: role ?? null, epoch: known, from: t, until: null}, KEPT.spans);
  }

  /** A change may be told twice: when it is seen, and when it is known how long no call was answered. */
  #takeView(event) {
    const told = this.views.findLast(view => view.epoch === event.epoch && view.history === event.history);
    if (told) Object.assign(told, event);
    else {
      const previous = this.views.at(-1);
      this.#keep(this.views, {...event, was_before: event.before ?? false, led_before: previous?.history === event.history ? previous.primary : null}, KEPT.views);
    }
  }

  #takeRate(event) {
    this.leftOut += event.left_out ?? 0;
    this.#keep(this.rates, event, KEPT.rates);
  }

  #takeCall(event) {
    this.#keep(this.calls, event, KEPT.calls);
    if (this.slowest.length >= SLOWEST && event.took_us <= this.slowest.at(-1).took_us) return;
    const place = this.slowest.findIndex(call => call.took_us < event.took_us);
    this.slowest.splice(place < 0 ? this.slowest.length : place, 0, event);
    if (this.slowest.length > SLOWEST) this.slowest.pop();
  }

  #takeFault(event) {
    const told = this.faults.findLast(fault => fault.id === event.id);
    if (told) Object.assign(told, event);
    else this.#keep(this.faults, {...event, led: this.#ledAt(event.since_ms)}, KEPT.faults);
  }

  #takeFailover(event) {
    this.#keep(this.failovers, event, KEPT.views);
    const view = this.views.findLast(view => view.epoch === event.epoch);
    if (view) view.failover_ms = event.took_ms;
  }

  #takeUsage(event) {
    for (const [name, cpu] of Object.entries(event.cpu ?? {})) {
      if (!this.usage.has(name)) this.usage.set(name, []);
      this.#keep(this.usage.get(name), {t: event.t, from_ms: event.from_ms, cpu, resident_kb: event.resident_kb?.[name] ?? null}, KEPT.usage);
    }
  }

  /** A record is told again when it has grown. */
  #takeRolledBack(event) {
    const told = this.rolledBack.findIndex(other => other.record === event.record);
    if (told >= 0) this.rolledBack.splice(told, 1);
    this.#keep(this.rolledBack, event, KEPT.records);
  }

  /** The change of the view by which nobody had to confirm what an epoch had decided: the next one. */
  after(epoch) { return this.views.find(view => view.epoch > epoch) ?? null; }

  /** Who led just then, which the newest view need not say any more. */
  #ledAt(t) {
    return (this.views.findLast(view => (view.changed_ms ?? view.t) <= t) ?? this.view)?.primary ?? null;
  }

  /** Whether a class is replicated in the place of accounts. */
  get servesClass() { return Boolean(this.hello?.serves); }

  /** What is served is called, for people: the name of the service; of several, the names of the first few. */
  get serviceInWords() {
    const names = Object.keys(this.hello?.services ?? {});
    if (names.length < 2) return this.hello?.service ?? "";
    return names.length > SERVICES_NAMED ? `${names.slice(0, SERVICES_NAMED).join(", ")} and ${names.length - SERVICES_NAMED} more` : listed(names);
  }

  get view() { return this.state?.view ?? null; }

  get servers() { return this.state?.servers ?? []; }

  /** Processes that are no part of the bank, and to which something can be done. */
  get clients() { return this.hello?.clients ?? []; }

  server(name) { return this.servers.find(server => server.name === name) ?? null; }

  standing(name) { return standing(this.server(name), this.view); }

  get primary() { return this.view ? this.server(this.view.primary) : null; }

  /** The servers that are in sync, and that can be seen to be up. */
  get inSyncAndUp() { return (this.view?.in_sync ?? []).filter(name => isUp(this.standing(name))); }

  /** By how many actions a server is behind the primary; null if nobody can say. */
  behind(server) {
    if (server.name === this.view?.primary) return 0;
    const leads = this.primary;
    if (!server.reachable || !leads?.reachable) return null;
    return Math.max(0, leads.action_id - server.action_id);
  }

  /** Are two copies the same? true, false, or null while they do not end at the same action. */
  sameAs(server, other) {
    if (!server?.digest || !other?.digest || server.action_id !== other.action_id) return null;
    return server.digest === other.digest;
  }

  /** Calls a second in the newest second before `now`. */
  callsPerSecond(now) {
    let calls = 0;
    for (let at = this.rates.length - 1; at >= 0 && this.rates[at].t > now - 1100; at--) calls += this.rates[at].calls;
    return calls;
  }

  /** What of this kind was done to somebody, and lasts; null if nothing does. */
  lasting(what, whom) {
    return this.faults.findLast(fault => fault.what === what && fault.whom === whom && fault.until_ms === null && fault.undo) ?? null;
  }

  /** Whether nothing passes from one process to another, as far as the console has done it, or `up` tells. */
  isCut(from, to) { return (this.state?.cut ?? []).some(way => way[0] === from && way[1] === to); }

  /** By how many milliseconds everything is late that way; 0 if it is not. */
  lateness(from, to) { return (this.state?.late ?? []).find(way => way[0] === from && way[1] === to)?.[2] ?? 0; }

  viewsSince(t) { return this.views.filter(view => (view.changed_ms ?? view.t) >= t); }

  faultsSince(t) { return this.faults.filter(fault => fault.since_ms >= t); }
}
