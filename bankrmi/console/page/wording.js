// How things are said on this page: numbers, times, roles, causes. One word for one thing, everywhere the same.

const whole = new Intl.NumberFormat("en-GB", {maximumFractionDigits: 0});
const day = new Intl.DateTimeFormat("en-GB", {day: "numeric", month: "short", hour: "2-digit", minute: "2-digit"});
const clock = new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit", second: "2-digit"});

export const number = value => (value === null || value === undefined ? "–" : whole.format(value));

/** One count with its noun: "1 copy", "2 copies". */
export const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

const digits = value => String(Number(value.toPrecision(value < 1000 ? 3 : 4)));

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${digits(ms)} ms`;
  if (ms < 120000) return `${digits(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds % 60 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${seconds / 60} min`;
}

export function micros(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${number(us)} µs`;
  if (us < 1000000) return `${(us / 1000).toPrecision(3)} ms`;
  return `${(us / 1000000).toPrecision(3)} s`;
}

// Instants are times of day; or they count from a moment, where only that is of interest: in a run of chaos.
let origin = null;

export function countFrom(ms) { origin = ms; }

function since(ms, decimals) {
  const scale = 10 ** decimals, ticks = Math.round((ms - origin) * scale / 1000), rest = Math.abs(ticks) % (60 * scale);
  const seconds = (rest / scale).toFixed(decimals).padStart(decimals ? decimals + 3 : 2, "0");
  return `${ticks < 0 ? "−" : ""}${Math.floor(Math.abs(ticks) / (60 * scale))}:${seconds}`;
}

const fraction = (ms, decimals) => String(Math.floor(ms % 1000)).padStart(3, "0").slice(0, decimals);

export const timeOfDay = ms => (origin === null ? clock.format(ms) : since(ms, 0));

export const exactTime = (ms, decimals = 3) =>
  (origin === null ? `${clock.format(ms)}.${fraction(ms, decimals)}` : since(ms, decimals));

export const dateAndTime = ms => new Date(ms).toLocaleString("en-GB", {dateStyle: "medium", timeStyle: "long"});

/** The instants of an axis: every `step`, in words that are as exact as that. */
export function ticks(from, until, step) {
  const zero = origin ?? 0, found = [];
  for (let t = Math.ceil((from - zero) / step) * step + zero; t <= until && found.length < 100; t += step) found.push([t, tick(t, step)]);
  return found;
}

function tick(t, step) {
  if (step < 1000) return origin === null ? `${clock.format(t).slice(3)}.${fraction(t, 1)}` : since(t, 1);
  if (origin === null && step >= 3600000) return day.format(t);
  return timeOfDay(t);
}

/** "s1", "s1 and s2", "s1, s2 and s3". */
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

const standings = {
  primary: "primary", standby: "standby", joining: "joining", starting: "starting",
  deposed: "believes it leads", paused: "frozen", gone: "gone", silent: "silent", unreachable: "unreachable",
  serving: "serving", unknown: "not seen yet",
};
const among = (words, key, otherwise) => (Object.hasOwn(words, key ?? "") ? words[key] : otherwise);

export const inWords = standing => among(standings, standing, standing);

const causes = {
  first: "the first view", crash: "crash", silence: "silence", stuck: "stuck", switchover: "switchover",
  stop: "stopped in good order", joined: "caught up", left_behind: "left behind", lost_disk: "lost disk",
  started_again: "started again", led_again: "led again", settled: "settled", added: "added", removed: "removed",
  moved: "moved", restored: "restored", backup_restored: "backup restored", forced: "forced", takeover: "takeover", paused: "takeover paused",
  resumed: "takeover resumed", retired: "retired", reinstated: "reinstated",
};
export const cause = kind => among(causes, kind, kind ?? "not recorded");

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
export const outcome = word => among(outcomes, word, word ?? "–");

export const capital = text => text.charAt(0).toUpperCase() + text.slice(1);

const faults = {
  kill: ["kill", "kills", "killed"], stop: ["stop", "stops", "stopped"], pause: ["freeze", "freezes", "frozen"],
  fill: ["full disk", "full disks", "disk full"], forget: ["lost memory", "lost memories", "memory lost"],
  wipe: ["lost disk", "lost disks", "killed and wiped"], cut: ["cut", "cuts", "cut"], slow: ["slow link", "slow links", "slow"],
  remove: ["removal", "removals", "removed"], switchover: ["switchover", "switchovers", "switchover"],
  strangers: ["crowd of strangers", "crowds of strangers", "beset by strangers"],
  rush: ["rush of own clients", "rushes of own clients", "rushed by own clients"],
  "slow disk": ["slow disk", "slow disks", "slow disk"], start: ["start", "starts", "started"],
};
/** In the order in which they are told. */
export const faultKinds = kinds => [...Object.keys(faults).filter(kind => kinds.includes(kind)), ...kinds.filter(kind => !Object.hasOwn(faults, kind)).sort()];
export const faultNoun = (kind, count = 2) => among(faults, kind, [kind, kind])[count === 1 ? 0 : 1];
export const faultVerb = kind => among(faults, kind, ["", "", kind])[2];
