// Puts the page together: events go into the model, and the model is drawn once a frame, never once an event.
//
// Rule 1: a part is drawn at most as often as its pace says, and not at all while the page is hidden.
// Rule 2: the parts know the model, not each other.

import {Asking} from "./asking.js";
import {byId} from "./elements.js";
import {Failovers} from "./failovers.js";
import {Headline, announcement} from "./headline.js";
import {Journal} from "./journal.js";
import {Load} from "./load.js";
import {Misfortunes} from "./misfortunes.js";
import {Model} from "./model.js";
import {Rules} from "./rules.js";
import {Slowest} from "./slowest.js";
import {Stream} from "./stream.js";
import {Teller} from "./teller.js";
import {Timeline} from "./timeline.js";
import {Topology} from "./topology.js";
import {Tour} from "./tour.js";
import {Usage} from "./usage.js";
import {Banner} from "./banner.js";

const model = new Model();
const own = {calls: [], historyOpen: false, changed: () => { dirty = true; }};
let dirty = true;

const asking = new Asking(() => { dirty = true; });
const headline = new Headline();
const timeline = new Timeline();
const look = (from, until, around) => {
  timeline.look(from, until, around);
  byId("timeline").scrollIntoView();
};
const parts = [
  {part: headline, everyMs: 0}, {part: new Topology(), everyMs: 50}, {part: new Misfortunes(asking, sentence => headline.announce(sentence)), everyMs: 100},
  {part: new Teller(asking, own), everyMs: 200}, {part: new Load(asking), everyMs: 200},
  {part: new Journal(), everyMs: 250}, {part: new Tour(own), everyMs: 200}, {part: new Rules(asking), everyMs: 500},
  {part: new Failovers(look), everyMs: 500}, {part: new Slowest(look), everyMs: 1000}, {part: new Usage(), everyMs: 2000},
].map(entry => ({...entry, drawn: 0, of: -1}));
for (const {part} of parts) part.wanted = () => { dirty = true; };

const stream = new Stream({
  take(event) {
    const isNews = model.take(event);
    if (isNews && event.kind === "view") headline.announce(announcement(model.views.findLast(view => view.epoch === event.epoch)));
  },
  changed(condition) {
    banner.changed(condition, model);
    dirty = true;
  },
});
const banner = new Banner(() => stream.open(), headline);

byId("history").addEventListener("toggle", event => {
  own.historyOpen = event.target.open;
  dirty = true;
});

function frame() {
  const now = Date.now();
  for (const entry of parts) {
    if (!dirty && (entry.of === model.version && now - entry.drawn < 1000 || now - entry.drawn < entry.everyMs)) continue;
    entry.part.render(model, now);
    entry.drawn = now;
    entry.of = model.version;
  }
  dirty = false;
  timeline.render(model, now);
  banner.render(now);
  requestAnimationFrame(frame);
}

stream.open();
requestAnimationFrame(frame);
