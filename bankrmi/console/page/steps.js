// The ten steps of the tour, as values: their words, what each needs, and how one sees that it was done.
//
// Rule 1: a check is a pure function of {model, since, own}; `since` is when the step began, in unix ms.
// Rule 2: docs/teaching.md has the same words, as a worksheet; a test compares them.

import {isUp} from "./model.js";

const twoCopies = model => (model.inSyncAndUp.length >= 2 ? ""
  : "First bring all servers back: undo what is broken, start what is stopped. Two copies must be in sync.");

/** What a step needs that this console may not offer; "" if it does. */
function offered(model, id, otherwise) {
  const offer = (model.hello?.misfortunes ?? []).find(offer => offer.id === id);
  if (!offer) return otherwise;
  return offer.needs || twoCopies(model);
}

const doneSince = ({model, since}, ...ids) => model.faultsSince(since).filter(fault => ids.includes(fault.what));
const wasDone = (...ids) => seen => doneSince(seen, ...ids).length > 0;
const doneToPrimary = (...ids) => seen => doneSince(seen, ...ids).some(fault => fault.led === fault.whom);
const doneToStandby = (...ids) => seen => doneSince(seen, ...ids).some(fault => fault.led !== fault.whom);
const wasUndone = (...ids) => seen => doneSince(seen, ...ids).some(fault => !fault.undo);
const changed = (...kinds) => ({model, since}) => model.viewsSince(since).some(view => kinds.includes(view.cause_kind));
const alone = ({model, since}) => model.viewsSince(since).some(view => view.in_sync.length === 1);
const otherLeads = ({model, since}) => model.viewsSince(since).some(view => view.led_before && view.led_before !== view.primary);
const leads = model => model.standing(model.view?.primary) === "primary";
const callsAgain = seen => otherLeads(seen) && leads(seen.model);
const loaded = ({model, since}) => model.rates.some(rate => rate.t >= since && rate.done > 10);
const allBack = ({model}) => leads(model) && model.inSyncAndUp.length >= 2;
const teller = ({own, since}, met) => own.calls.some(call => call.t >= since && call.answer.ok && met(call));
const allGone = ({model}) => model.servers.length > 0 && model.servers.every(server => !isUp(model.standing(server.name)));
const nobodyLeads = model => Boolean(model.state) && !model.servers.some(server => model.standing(server.name) === "primary");

export const STEPS = [
  {
    title: "Kill the primary",
    todo: "Withdraw something from account 1. Then press “kill -9” on the server that leads.",
    look: "The headline, and the red mark in the timeline: for how many milliseconds was no call answered? Look up account 1 again.",
    question: "Why is the money still there?",
    answer: "An answer leaves the primary only when the record is on every disk in sync. So whoever takes over has every withdrawal that anybody was told of. It need not wait either: a dead process refuses connections, and that proves it is gone.",
    needs: twoCopies,
    checks: [
      {words: "the primary was killed", met: doneToPrimary("kill")},
      {words: "another server leads", met: otherLeads},
      {words: "it answers", met: callsAgain},
    ],
  },
  {
    title: "Freeze it instead",
    todo: "Press “Freeze” on the server that leads. Press “Thaw” afterwards.",
    look: "How long it takes this time. After the thaw: what the old primary believes, and for how long.",
    question: "Why does this take about a second, and the kill did not?",
    answer: "Nobody can tell a frozen process from a slow one, or from a cut cable. The old primary may still answer reads until its lease has run out, so the standby waits for that. When the frozen one wakes up its epoch is old, and nobody accepts its checkpoints: it steps down and joins.",
    needs: twoCopies,
    checks: [
      {words: "the primary was frozen", met: doneToPrimary("pause")},
      {words: "another server leads, because of the silence", met: changed("silence", "stuck")},
      {words: "two copies are in sync again", met: seen => changed("silence", "stuck")(seen) && allBack(seen)},
    ],
  },
  {
    title: "Switch over, on purpose",
    todo: "Add some load, eight clients. Then press “Switch over”.",
    look: "The length at the mark, next to the two before it. Whether any call failed.",
    question: "Why is this so much shorter?",
    answer: "Nobody has to find out that somebody is dead. The primary lets no new request in, waits until the standby has everything, hands over, and gives up its lease itself. That is how you update a server without anybody noticing.",
    needs: twoCopies,
    checks: [
      {words: "a switchover was asked for", met: seen => wasDone("switchover")(seen) || changed("switchover")(seen)},
      {words: "the other server leads", met: changed("switchover")},
    ],
  },
  {
    title: "Retry after a lost answer",
    todo: "Withdraw something, and kill the primary: suppose that the answer had been lost with it. When another server leads, press “Send it again” under the answer.",
    look: "The request id, the action id and the balance: in the first answer, and in the second one, which comes from another server.",
    question: "What would happen without the request id?",
    answer: "A program whose answer was lost cannot know whether the money was taken. If it asks again under a new id, it may be taken twice. Under the same id the bank finds the outcome in its journal, and gives the same answer: also after a takeover, for the journal is what is replicated.",
    needs: twoCopies,
    checks: [
      {words: "a withdrawal or deposit was done", met: seen => teller(seen, call => call.call.changes)},
      {words: "another server leads", met: callsAgain},
      {words: "it was sent again, and the answer was the same", met: seen => otherLeads(seen) && teller(seen, call => call.same === true)},
    ],
  },
  {
    title: "Stop the standby, and let it catch up",
    todo: "Press “Stop” on the server that does not lead. Let eight clients call for a while. Then press “Start”.",
    look: "The headline: how many copies are there? Then its role: starting, joining, standby; and “behind by” in the table of the copies, on its way to nothing.",
    question: "When exactly does it count as a copy again?",
    answer: "Not when it has started, and not when it is nearly there. It counts from the view on that names it in sync, and the primary proposes that only when the copy has all that was acknowledged. Until then the bank has one copy, and says so. A bank that should rather stand still is told so with copies_min: 2.",
    needs: twoCopies,
    checks: [
      {words: "the standby was stopped", met: doneToStandby("stop")},
      {words: "one copy is in sync", met: alone},
      {words: "it was started, and has caught up", met: changed("joined")},
      {words: "two copies are in sync", met: seen => changed("joined")(seen) && allBack(seen)},
    ],
  },
  {
    title: "Cut the link: who may go on?",
    todo: "Cut the link between the two servers, both ways. Withdraw something. Heal it. Then cut the primary off from everybody, withdraw again, and heal that.",
    look: "Who leads after the first cut, who after the second. What the one that was cut off believes of itself, and what it answers.",
    question: "Both servers live, and each must suppose that the other is dead. Why do not both go on?",
    answer: "The witness lets exactly one change of the view win. After the first cut the primary asks it, and goes on alone; the standby comes too late. After the second cut the primary cannot ask: it confirms nothing more, and when its lease is over the standby may take its place. What the old primary wrote meanwhile was never confirmed to anybody, and is rolled back when it returns.",
    needs: model => offered(model, "cut", "This console cannot cut links."),
    checks: [
      {words: "the link between the servers was cut", met: seen => doneSince(seen, "cut").some(fault => fault.toward !== "everybody")},
      {words: "one server went on alone", met: alone},
      {words: "the primary was cut off from everybody", met: seen => doneSince(seen, "cut").some(fault => fault.toward === "everybody" && fault.led === fault.whom)},
      {words: "the other one leads", met: otherLeads},
      {words: "all is healed, and two copies are in sync", met: seen => otherLeads(seen) && allBack(seen)},
    ],
  },
  {
    title: "Stop both, and start the wrong one first",
    todo: "Stop the standby. Withdraw something. Stop the primary. Then start the one that was stopped first, and wait a little. Then start the other one.",
    look: "What the first one does while it is alone, and what it says it waits for. The balance afterwards.",
    question: "It has a disk with accounts on it. Why does it not answer?",
    answer: "It was no longer in sync when the last withdrawal was confirmed, so it lacks it. The view, which the witness keeps on disk, names who has everything: only the other server. So it waits for that one: it would rather not answer than answer without your withdrawal.",
    needs: twoCopies,
    checks: [
      {words: "both servers were gone at once", met: allGone},
      {words: "one was started, and would not lead", met: ({model}) => nobodyLeads(model) &&
        model.servers.some(server => isUp(model.standing(server.name)) && !model.view?.in_sync.includes(server.name))},
      {words: "somebody leads again", met: seen => wasUndone("stop")(seen) && leads(seen.model)},
      {words: "two copies are in sync", met: seen => wasUndone("stop")(seen) && allBack(seen)},
    ],
  },
  {
    title: "Lose the witness",
    todo: "Press “Lose its memory” on the witness, twice. Withdraw something. Then kill the primary, and try to withdraw again. Then press “Restore its memory”.",
    look: "What still works without the view, and what does not. What the restored view is called, and its epoch.",
    question: "The witness is there again, and both servers live. Why does nobody lead until you say so?",
    answer: "An empty witness cannot tell a new bank from one that it has forgotten, and a view that is made up could name a server that lacks what was confirmed. So nobody believes it. Restoring asks every server what it holds, keeps all of them from answering meanwhile, and proposes the only view that is safe: led by one that acted in the newest epoch.",
    needs: model => offered(model, "forget", "etcd keeps the view of this bank: its memory is lost only with a majority of its members."),
    checks: [
      {words: "the witness lost its memory", met: wasDone("forget")},
      {words: "a call was answered all the same", met: seen => wasDone("forget")(seen) && teller(seen, () => true)},
      {words: "nobody led", met: seen => wasDone("forget")(seen) && wasDone("kill")(seen) && nobodyLeads(seen.model)},
      {words: "the view was restored, and two copies are in sync", met: seen => wasUndone("forget")(seen) && seen.model.state?.view_from === "witness" && allBack(seen)},
    ],
  },
  {
    title: "Delete the standby's disk",
    todo: "Press “Delete its disk” on the server that does not lead, twice.",
    look: "What it is when it comes back with nothing, and how long it is joining. Whether the digests are equal afterwards.",
    question: "Why may it not simply say “I am s2, I am in sync”?",
    answer: "Because it is not: what it had is gone. Every disk has an id of its own, the incarnation. A wiped disk has another, so it comes back as a new member: it fetches a copy, catches up, and only then counts. Without that rule a takeover by an empty server would lose everything.",
    needs: twoCopies,
    checks: [
      {words: "a disk was deleted", met: doneToStandby("wipe")},
      {words: "its server was let in again", met: changed("joined")},
      {words: "two copies are in sync", met: seen => changed("joined")(seen) && allBack(seen)},
    ],
  },
  {
    title: "Load, kill, and read the history",
    todo: "Let sixteen clients or more call. Kill the primary. Then open “Every change of the view” under the timeline; in a terminal, bankrmi history says the same.",
    look: "The hole in the curves, how deep and how wide; red dashes under them would be calls that failed or are in doubt. In the table: one line for each thing you did. Which of them cost time, and which none?",
    question: "Where did the calls go that were under way?",
    answer: "Each client saw its connection break, asked the other server, and sent the same request under the same id. Some had been decided already and got the recorded answer, others were decided then. To a program it is one slow call: as slow as the hole is wide. And the table can be trusted: each change adds one to the epoch, and goes through only if nobody else made one before it. So there is one line of changes, never two, and no two servers lead in one epoch.",
    needs: twoCopies,
    checks: [
      {words: "clients call", met: loaded},
      {words: "the primary was killed", met: doneToPrimary("kill")},
      {words: "calls are done again", met: ({model, since}) => {
        const view = model.viewsSince(since).find(view => view.led_before && view.led_before !== view.primary);
        return Boolean(view) && model.rates.some(rate => rate.from_ms > (view.changed_ms ?? view.t) && rate.done > 0);
      }},
      {words: "the table was opened", met: ({own}) => own.historyOpen},
    ],
  },
];
