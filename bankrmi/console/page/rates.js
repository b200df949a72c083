// Many short periods as fewer long ones, so that a picture has about one for each of its pixels.  Pure.
//
// Rule 1: sums are exact. Of percentiles there is no sum: a median is that of the medians, each with the weight
//         of its calls, and a p99 the highest. Who looks closely enough sees each period as it was told.
// Rule 2: where a long period begins does not depend on what is shown, so that nothing flickers while one moves.

const WIDTHS_MS = [50, 100, 250, 500, 1000, 2000, 5000, 10000, 30000, 60000, 300000, 900000, 3600000];

/** The first place in a list that is sorted by `t` at which an event is not before `ms`. */
export function placeOf(events, ms) {
  let low = 0, high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle].t < ms) low = middle + 1; else high = middle;
  }
  return low;
}

/** What was told of from `from` until `until`: as it was, or in at most about `most` periods. */
export function between(events, from, until, most) {
  const first = placeOf(events, from), last = Math.min(events.length, placeOf(events, until) + 1);
  if (last - first <= most) return events.slice(first, last);
  const width = WIDTHS_MS.find(width => (until - from) / width <= most) ?? (until - from) / most;
  const found = [];
  for (let at = first; at < last;) {
    const place = Math.floor(events[at].from_ms / width);
    let end = at + 1;
    while (end < last && Math.floor(events[end].from_ms / width) === place) end++;
    found.push(end - at === 1 ? events[at] : together(events.slice(at, end)));
    at = end;
  }
  return found;
}

const sum = (events, name) => events.reduce((total, event) => total + (event[name] ?? 0), 0);
const highest = (events, name) => events.reduce((most, event) => Math.max(most, event[name] ?? 0), 0) || null;

/** The figures of several periods that follow each other. */
export function together(events) {
  return {
    t: events.at(-1).t, from_ms: events[0].from_ms, calls: sum(events, "calls"), done: sum(events, "done"),
    declined: sum(events, "declined"), failed: sum(events, "failed"), in_doubt: sum(events, "in_doubt"),
    operations: events.reduce((total, event) => total + operations(event), 0),
    median_us: middle(events), p99_us: highest(events, "p99_us"), slowest_us: highest(events, "slowest_us"),
  };
}

/** Operations that were answered; a call of whom nothing else is known is one. */
export const operations = rate => rate.operations ?? (rate.done ?? 0) + (rate.declined ?? 0);

function middle(events) {
  const told = events.filter(event => event.median_us).sort((one, other) => one.median_us - other.median_us);
  let left = told.reduce((total, event) => total + answered(event), 0) / 2;
  for (const event of told) {
    left -= answered(event);
    if (left <= 0) return event.median_us;
  }
  return null;
}

const answered = event => Math.max(1, (event.done ?? 0) + (event.declined ?? 0));

/** How many a second. */
export const perSecond = (event, count) => count * 1000 / Math.max(1, event.t - event.from_ms);
