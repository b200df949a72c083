// What the page reckons, as test_page_figures.py asks for it: bundled with the modules of the page.
import {closerLooks, failoversOf, faultsByKind, faultsInWords, feltFailovers, goingOn, somebodyLed, spreads} from "./figures.js";
import {Model} from "./model.js";
import {between, together} from "./rates.js";
import {countFrom, duration, exactTime, faultNoun, inWords, ticks} from "./wording.js";

function model(events, whole = true) {
  const made = new Model({whole});
  for (const event of events) made.take({...event});
  return made;
}

window.reckons = {
  between, duration, faultNoun, inWords, spreads, together,
  newest: events => model(events).newest,
  lanes: events => [...model(events).lanes].map(([name, spans]) => [name, spans.map(span => [span.standing, span.from, span.until])]),
  failovers: events => failoversOf(model(events)).map(one => [one.old, one.new, one.took_ms, one.since_ms]),
  felt: events => feltFailovers(model(events)).length,
  looks: (events, asked) => closerLooks(model(events), asked).map(look => [look.why, look.of, look.from, look.until]),
  somebodyLed: (events, from, until) => somebodyLed(model(events), from, until),
  goingOn: (events, from, until) => goingOn(model(events), from, until),
  faultTable(events) {
    const {whom, rows} = faultsByKind(model(events));
    return [whom, rows.map(row => [row.kind, Object.fromEntries(row.counts), row.total])];
  },
  faultsInWords: events => faultsInWords(model(events)),
  kept(kind, count, whole) {
    const made = model([], whole);
    for (let at = 0; at < count; at++) made.take({t: at, kind, id: at, since_ms: at, from_ms: at, took_us: at});
    return Math.max(made.rates.length, made.faults.length, made.calls.length, made.slowest.length);
  },
  instants(origin, instants, decimals) {
    countFrom(origin);
    return instants.map(ms => exactTime(ms, decimals));
  },
  ticks(origin, from, until, step) {
    countFrom(origin);
    return ticks(from, until, step).map(([, words]) => words);
  },
};
