// Events in, state out: what this page knows of the bank. It reads no clock and touches no element.
//
// Rule 1: whatever is kept is bounded; the oldest goes first.
// Rule 2: every `hello` begins anew, for what happened in the last minutes follows it.
// Rule 3: an event of a kind that is not known here is left alone: the server may be newer than the page.

const KEPT = {views: 400, rates: 4000, calls: 300, faults: 300, notes: 50, records: 40, spans: 600};

function keep(list, value, most) {
  list.push(value);
  if (list.length > most * 1.2) list.splice(0, list.length - most);
}

/** What a server is, as far as anybody can see: one word, which `wording.js` knows. */
export function standing(server, view) {
  if (!server) return "unknown";
  if (server.process === "stopped") return "paused";
  if (server.process === "gone") return "gone";
  if (!server.reachable) return server.silent ? "silent" : "unreachable";
  if (server.role === "primary" && view && view.primary !== server.name && server.epoch < view.epoch) return "deposed";
  return server.role ?? "unknown";
}

export const isUp = standing => ["primary", "standby", "joining", "starting", "deposed"].includes(standing);

export class Model {
  constructor() {
    this.version = 0;
    this.forget();
  }

  forget() {
    this.hello = null;
    this.state = null;
    this.views = [];
    this.rates = [];
    this.calls = [];
    this.leftOut = 0;
    this.faults = [];
    this.notes = [];
    this.search = null;
    this.rolledBack = [];
    this.lanes = new Map();
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
    this.oldest ??= event.kind === "hello" ? null : event.t;
    this.newest = Math.max(this.newest, event.t);
    switch (event.kind) {
      case "state": this.#takeState(event); break;
      case "view": this.#takeView(event); break;
      case "rate": keep(this.rates, event, KEPT.rates); break;
      case "call": this.#takeCall(event); break;
      case "fault": this.#takeFault(event); break;
      case "offers": if (this.hello) this.hello.misfortunes = event.misfortunes; break;
      case "rules": if (this.hello) this.hello.rules = event.rules; break;
      case "search": this.search = event; break;
      case "rolled_back": this.#takeRolledBack(event); break;
      case "note": keep(this.notes, event, KEPT.notes); break;
    }
    return event.t >= (this.hello?.t ?? Infinity);
  }

  #takeState(event) {
    this.state = event;
    for (const server of event.servers ?? []) {
      const now = standing(server, event.view);
      if (!this.lanes.has(server.name)) this.lanes.set(server.name, []);
      const lane = this.lanes.get(server.name);
      const last = lane.at(-1);
      if (last && last.standing === now) continue;
      if (last) last.until = event.t;
      keep(lane, {standing: now, from: event.t, until: null}, KEPT.spans);
    }
  }

  /** A change may be told twice: when it is seen, and when it is known how long no call was answered. */
  #takeView(event) {
    const told = this.views.findLast(view => view.epoch === event.epoch && view.history === event.history);
    if (told) Object.assign(told, event);
    else {
      const previous = this.views.at(-1);
      keep(this.views, {...event, before: previous?.history === event.history ? previous.primary : null}, KEPT.views);
    }
  }

  #takeCall(event) {
    this.leftOut += event.left_out ?? 0;
    keep(this.calls, event, KEPT.calls);
  }

  #takeFault(event) {
    const told = this.faults.findLast(fault => fault.id === event.id);
    if (told) Object.assign(told, event);
    else keep(this.faults, {...event, led: this.#ledAt(event.since_ms)}, KEPT.faults);
  }

  /** A record is told again when it has grown. */
  #takeRolledBack(event) {
    const told = this.rolledBack.findIndex(other => other.record === event.record);
    if (told >= 0) this.rolledBack.splice(told, 1);
    keep(this.rolledBack, event, KEPT.records);
  }

  /** The change of the view by which nobody had to confirm what an epoch had decided: the next one. */
  after(epoch) { return this.views.find(view => view.epoch > epoch) ?? null; }

  /** Who led just then, which the newest view need not say any more. */
  #ledAt(t) {
    return (this.views.findLast(view => (view.changed_ms ?? view.t) <= t) ?? this.view)?.primary ?? null;
  }

  get view() { return this.state?.view ?? null; }

  get servers() { return this.state?.servers ?? []; }

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
