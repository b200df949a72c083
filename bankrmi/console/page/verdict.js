// What comes first of a recording: the verdict if there is one, what it rests on, and the figures one asks for first;
// and at the end what was looked at, and how to do it again.
//
// Rule: a run in which nothing was judged is not called good.

import {byId, make, mark, say} from "./elements.js";
import {atPercent, failoversOf, faultsInWords, feltFailovers, separate, silencesOf} from "./figures.js";
import {operations, together} from "./rates.js";
import {counted, dateAndTime, duration, exactTime, micros, number} from "./wording.js";

export class Verdict {
  #of = -1;

  render(model) {
    if (this.#of === model.version) return;
    this.#of = model.version;
    const {verdict, run} = model, {tone, title, lead} = headOf(model);
    mark(byId("headline"), "data-tone", tone);
    mark(document.documentElement, "data-tone", tone);
    say(byId("headline-text"), title);
    say(byId("lead"), lead);
    say(byId("service"), run ? `· bankrmi chaos · seed ${run.seed}` : `· ${model.serviceInWords}`);
    say(byId("version"), `Version ${model.hello.version}. ${begun(model)}`);
    byId("violations").hidden = !verdict?.violations.length;
    byId("violations").replaceChildren(...(verdict?.violations ?? []).map(text => make("li", {text})));
    say(byId("untold"), verdict?.untold ? `and ${number(verdict.untold)} more` : "");
    say(byId("notes"), [...(verdict?.notes ?? []), ...model.notes.map(note => note.text)].join(" "));
    byId("tiles").replaceChildren(...tiles(model).map(([name, figure, more]) =>
      make("div", {}, make("dt", {text: name}), make("dd", {}, make("b", {text: figure}), make("span", {text: more})))));
    this.#evidence(verdict, run);
  }

  #evidence(verdict, run) {
    byId("checked").hidden = !verdict;
    byId("checked-list").replaceChildren(...(verdict?.checked ?? []).map(text => make("li", {text})));
    byId("checked-counts").replaceChildren(...figures((verdict?.counts ?? []).map(([name, count]) => [name, number(count)])));
    byId("again").hidden = !run;
    if (!run) return;
    say(byId("again-command"), run.command);
    byId("again-figures").replaceChildren(...figures([["seed", String(run.seed)], ["cuts by", run.cuts_by], ...run.files, ...run.facts]));
  }
}

const figures = pairs => pairs.map(([name, value]) => make("div", {}, make("dt", {text: name}), make("dd", {text: value})));

function begun(model) {
  const counts = model.hello.told_by === "chaos" ? " Times count from there, in minutes and seconds." : "";
  return `Begun ${dateAndTime(model.oldest)}.${counts}`;
}

function headOf(model) {
  const servers = counted(model.lanes.size, "server", "servers"), length = duration(model.newest - model.oldest);
  const keeper = model.hello.keeper === "etcd" ? "etcd" : "a witness";
  if (model.verdict) {
    return {tone: {good: "good", bad: "bad"}[model.verdict.tone] ?? "warn", title: model.verdict.words,
      lead: `${servers} and ${keeper} ran for ${length} under ${faultsInWords(model)}. This says what this run has found, and not what can never happen.`};
  }
  const failovers = failoversOf(model).length;
  return {tone: "wait", title: `${model.serviceInWords}, ${length}: ${failovers ? counted(failovers, "failover", "failovers") : "nobody took over"}`,
    lead: `${servers} and ${keeper}, as ${model.hello.told_by === "record" ? "bankrmi record" : "the console"} saw them.`};
}

function tiles(model) {
  const length = model.newest - model.oldest, told = sums(model), failovers = failoversOf(model).length, faults = separate(model.faults).length;
  const took = feltFailovers(model).map(failover => failover.took_ms).sort((one, other) => one - other);
  return [
    ["operations answered", number(told.operations), `${number(told.operations * 1000 / Math.max(1, length))} a second, in ${counted(told.answered, "call", "calls")}`],
    ...(told.decided === null ? [] : [["operations decided", number(told.decided), "by the bank, whoever asked for them"]]),
    ...(told.median_us === null ? [] : [["time of a call", micros(told.median_us), `${told.exact ? "" : "about; "}median; 99 % within ${micros(told.p99_us)}`]]),
    ...(model.run || faults ? [[faults === 1 ? "fault" : "faults", number(faults), faults ? `one in ${duration(length / faults)}` : "an undisturbed run"]] : []),
    [failovers === 1 ? "failover" : "failovers", number(failovers), took.length
      ? `median ${duration(atPercent(took, 50))}, longest ${duration(took.at(-1))}` : failovers ? "no caller waited" : "none"],
    silence(model, told),
    ["calls in doubt", number(told.in_doubt), told.in_doubt ? `of ${number(told.calls)}${model.verdict ? "; what became of them, the journals told" : ""}` : "no deadline passed"],
  ].filter(Boolean);
}

/** Sums over the whole recording; of a judged run they are exact. */
function sums(model) {
  const decided = model.decided.length ? model.decided.reduce((total, event) => total + event.operations, 0) : null;
  const {verdict} = model;
  if (verdict) {
    return {operations: verdict.operations, answered: verdict.answered, calls: verdict.calls, in_doubt: verdict.in_doubt,
      median_us: verdict.median_us ?? null, p99_us: verdict.p99_us ?? null, exact: true, decided};
  }
  if (!model.rates.length) return {operations: 0, answered: 0, calls: 0, in_doubt: 0, median_us: null, p99_us: null, exact: true, decided};
  const all = together(model.rates), p99 = model.rates.map(rate => rate.p99_us).filter(Boolean).sort((one, other) => one - other);
  return {operations: operations(all), answered: all.done + all.declined, calls: all.calls, in_doubt: all.in_doubt, median_us: all.median_us,
    p99_us: atPercent(p99, 99), exact: false, decided};
}

function silence(model, told) {
  const all = silencesOf(model).map(([from, until]) => ({from, took: until - from})).sort((one, other) => other.took - one.took);
  if (!all.length) return told.answered ? ["longest silence", `< ${duration(250)}`, "somebody was always answered"] : null;
  const total = all.reduce((sum, one) => sum + one.took, 0);
  return ["longest silence", duration(all[0].took), `nobody was answered, from ${exactTime(all[0].from, 1)}; in all ${duration(total)}`];
}
