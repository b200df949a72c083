// Puts the page of a recording together: all of it on the timeline and in the tables, and beside it how the bank was
// at the play head.
//
// Rule 1: two models of the same events, the whole and the moment: the first never changes, the second is folded up to
//         the play head; who moves the head back has it folded anew.
// Rule 2: what one sees first is drawn first: one more part a frame, so that a long recording opens at once.

import {byId, mark, say} from "./elements.js";
import {Done} from "./done.js";
import {Failovers} from "./failovers.js";
import {headline} from "./headline.js";
import {Journal} from "./journal.js";
import {Looks} from "./looks.js";
import {Model} from "./model.js";
import {Player} from "./player.js";
import {placeOf} from "./rates.js";
import {recordedEvents} from "./recording.js";
import {Slowest} from "./slowest.js";
import {Timeline} from "./timeline.js";
import {Topology} from "./topology.js";
import {Usage} from "./usage.js";
import {Verdict} from "./verdict.js";
import {countFrom, exactTime} from "./wording.js";

/** The bank at one instant. */
class Moment {
  #folded = 0;

  constructor(events) {
    this.events = events;
    this.model = new Model({whole: true});
  }

  /** Fold what happened until then. */
  at(t) {
    const until = Math.max(1, placeOf(this.events, t + .001));
    if (until < this.#folded) {
      this.model = new Model({whole: true});
      this.#folded = 0;
    }
    for (; this.#folded < until; this.#folded++) this.model.take({...this.events[this.#folded]});
    return this.model;
  }
}

function show(events) {
  const whole = new Model({whole: true});
  for (const event of events) whole.take({...event});
  if (whole.hello.told_by === "chaos") countFrom(whole.oldest);
  let dirty = true;
  const player = new Player(whole.oldest, whole.newest, () => { dirty = true; timeline.touch(); });
  const timeline = new Timeline({player});
  const look = (from, until, around) => {
    timeline.look(from, until, around);
    history.replaceState(null, "", `#t=${((from - whole.oldest) / 1000).toFixed(3)},${((until - whole.oldest) / 1000).toFixed(3)}`);
    byId("timeline").scrollIntoView();
  };
  const ofWhole = [new Verdict(), new Failovers(look), new Slowest(look), new Done(look), new Usage(), new Looks(look)];
  let begun = 1;
  const hasCopies = whole.servers.some(server => server.digest);
  const ofMoment = [new Topology(), ...(hasCopies ? [new Journal()] : [])];
  byId("journal").hidden = !hasCopies;
  for (const part of [...ofWhole, ...ofMoment]) part.wanted = () => { dirty = true; };
  byId("history").addEventListener("toggle", () => timeline.touch());
  byId("words").remove(); // What stands there for whoever has no JavaScript.
  const moment = new Moment(events);
  player.seek(lastWell(events, whole.newest));

  function frame() {
    const now = performance.now();
    player.tick(now);
    if (dirty) {
      dirty = false;
      for (const part of ofWhole.slice(0, begun)) part.render(whole, now);
      if (begun < ofWhole.length) { begun += 1; dirty = true; }
      const then = moment.at(player.cursor);
      for (const part of ofMoment) part.render(then, player.cursor);
      sayHow(then, player.cursor);
      for (const link of document.querySelectorAll("nav a")) link.hidden = byId(link.hash.slice(1)).hidden;
    }
    timeline.render(whole, now);
    requestAnimationFrame(frame);
  }

  function follow() {
    const asked = /^#t=([\d.]+),([\d.]+)$/.exec(location.hash);
    if (asked) timeline.look(whole.oldest + Number(asked[1]) * 1000, whole.oldest + Number(asked[2]) * 1000, 0);
  }

  timeline.render(whole, performance.now() + 1e6);
  follow();
  addEventListener("hashchange", follow);
  requestAnimationFrame(frame);
}

/** The last instant at which all was well, if there is one: at the end of a run all servers are stopped, and there is little to see. */
function lastWell(events, end) {
  const well = events.findLast(event => event.kind === "state" && event.view && event.servers.length &&
    event.servers.every(server => server.reachable && ["primary", "standby"].includes(server.role)));
  const next = well && events.find(event => event.kind === "state" && event.t > well.t);
  return next ? next.t - .002 : end;
}

/** How the bank was then, in the words of the live page. */
function sayHow(model, cursor) {
  const {tone, title, lead} = model.state ? headline(model, {live: false}) : {tone: "wait", title: "Nothing is known of it yet", lead: ""};
  mark(byId("moment"), "data-tone", tone);
  say(byId("moment-when"), `At ${exactTime(cursor, 1)}:`);
  say(byId("moment-title"), title);
  say(byId("moment-lead"), lead);
}

async function begin() {
  try {
    show(await recordedEvents(byId("recording")));
  } catch (error) {
    say(byId("headline-text"), `This recording cannot be shown: ${error.message}`);
    mark(byId("headline"), "data-tone", "bad");
  }
}

begin();
