// How things are said on this page: numbers, times, roles, causes. One word for one thing, everywhere the same.

const whole = new Intl.NumberFormat("en-GB", {maximumFractionDigits: 0});
const clock = new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit", second: "2-digit"});

export const number = value => (value === null || value === undefined ? "–" : whole.format(value));

/** One count with its noun: "1 copy", "2 copies". */
export const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 10000) return `${number(ms)} ms`;
  if (ms < 120000) return `${(ms / 1000).toFixed(0)} s`;
  return `${Math.floor(ms / 60000)} min ${Math.floor((ms % 60000) / 1000)} s`;
}

export function micros(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${number(us)} µs`;
  if (us < 1000000) return `${(us / 1000).toPrecision(3)} ms`;
  return `${(us / 1000000).toPrecision(3)} s`;
}

export const timeOfDay = ms => clock.format(ms);

export const exactTime = ms => `${clock.format(ms)}.${String(Math.floor(ms % 1000)).padStart(3, "0")}`;

/** "s1", "s1 and s2", "s1, s2 and s3". */
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

const standings = {
  primary: "primary", standby: "standby", joining: "joining", starting: "starting",
  deposed: "believes it leads", paused: "frozen", gone: "gone", silent: "silent", unreachable: "unreachable",
  answers: "answers", unknown: "not seen yet",
};
export const inWords = standing => standings[standing] ?? standing;

const causes = {
  first: "the first view", crash: "crash", silence: "silence", stuck: "stuck", switchover: "switchover",
  stop: "stopped in good order", joined: "caught up", left_behind: "left behind", lost_disk: "lost disk",
  started_again: "started again", led_again: "led again", settled: "settled", added: "added", removed: "removed",
  moved: "moved", restored: "restored", forced: "forced", takeover: "takeover", paused: "takeover paused",
  resumed: "takeover resumed",
};
export const cause = kind => causes[kind] ?? kind ?? "not recorded";

/** A request id may be long; its end tells one from the next. */
export function requestId(id) {
  if (id === null || id === undefined) return "–";
  return typeof id === "string" ? id : JSON.stringify(id);
}

export function shortRequestId(id) {
  const text = requestId(id);
  return text.length <= 18 ? text : `${text.slice(0, 6)}…${text.slice(-10)}`;
}

export const shortDigest = digest => (digest ? String(digest).slice(0, 10) : "–");

const outcomes = {done: "done", declined: "declined", refused: "refused", in_doubt: "in doubt", failed: "failed"};
export const outcome = word => outcomes[word] ?? word ?? "–";
