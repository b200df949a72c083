// The ten steps of the tour, as values: their words, what each needs, and how one sees that it was done.
//
// Rule: a check is a pure function of {model, since, own}; `since` is when the step began, in unix ms.

import {isUp} from "./model.js";

const twoCopies = model => (model.inSyncAndUp.length >= 2 ? "" : "First bring all servers back: start what is gone, resume what is paused. Two copies must be in sync.");

const faultIs = (fault, ...ids) => ids.includes(fault.what);
const wasDone = (...ids) => ({model, since}) => model.faultsSince(since).some(fault => faultIs(fault, ...ids));
const doneToPrimary = (...ids) => ({model, since}) => model.faultsSince(since).some(fault => faultIs(fault, ...ids) && fault.led === fault.whom);
const doneToStandby = (...ids) => ({model, since}) => model.faultsSince(since).some(fault => faultIs(fault, ...ids) && fault.led !== fault.whom);
const changed = (...kinds) => ({model, since}) => model.viewsSince(since).some(view => kinds.includes(view.cause_kind));
const otherLeads = ({model, since}) => model.viewsSince(since).some(view => view.before && view.before !== view.primary);
const leads = model => model.standing(model.view?.primary) === "primary";
const callsAgain = ({model, since}) => otherLeads({model, since}) && leads(model);
const loaded = ({model, since}) => model.rates.some(rate => rate.t >= since && rate.done > 10);
const allBack = ({model}) => leads(model) && model.inSyncAndUp.length >= 2;

/** All servers were seen gone at once, at some time since. */
function allGone({model, since}) {
  return model.servers.length > 0 && model.servers.every(server => !isUp(model.standing(server.name))) &&
    model.faultsSince(since).length > 0;
}

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
    todo: "Press “pause” on the server that leads. Resume it afterwards.",
    look: "How long it takes this time. After you resume it: what it believes, and for how long.",
    question: "Why does this take about a second, and the kill did not?",
    answer: "Nobody can tell a frozen process from a slow one, or from a cut cable. The old primary may still answer reads until its lease has run out, so the standby waits for that. When the frozen one wakes up its epoch is old, and nobody accepts its checkpoints: it steps down and joins.",
    needs: twoCopies,
    checks: [
      {words: "the primary was paused", met: doneToPrimary("pause")},
      {words: "another server leads, because of the silence", met: changed("silence", "stuck")},
      {words: "two copies are in sync again", met: seen => changed("silence", "stuck")(seen) && allBack(seen)},
    ],
  },
  {
    title: "Switch over, on purpose",
    todo: "Add some load, eight clients. Then press “switch over” on the standby.",
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
    title: "Send it again",
    todo: "Withdraw something. Then press “Send it again” under the answer, more than once if you like.",
    look: "The request id, the action id and the balance: now, and in the first answer.",
    question: "What would happen without the request id?",
    answer: "A program whose answer was lost cannot know whether the money was taken. If it asks again under a new id, it may be taken twice. Under the same id the bank finds the outcome in its journal, and gives the same answer: also after a takeover, for the journal is what is replicated.",
    checks: [
      {words: "a withdrawal or deposit was done", met: ({own, since}) => own.calls.some(call => call.t >= since && call.call.what !== "balance" && call.answer.ok)},
      {words: "it was sent again, and the answer was the same", met: ({own, since}) => own.calls.some(call => call.t >= since && call.same === true)},
    ],
  },
  {
    title: "Stop the standby",
    todo: "Press “stop” on the server that does not lead. Withdraw something.",
    look: "The headline: how many copies are there? The table of the copies below.",
    question: "Why does the bank go on, and is that safe?",
    answer: "The primary asks who keeps the view for one in which it is alone, and goes on only when it has that. From then on the other server knows less, and may not take over. You have no spare now: that is what the headline warns of. A bank that should rather stand still is told so with copies_min: 2.",
    needs: twoCopies,
    checks: [
      {words: "the standby was stopped or killed", met: doneToStandby("stop", "kill")},
      {words: "one copy is in sync", met: ({model, since}) => model.viewsSince(since).some(view => view.in_sync.length === 1)},
    ],
  },
  {
    title: "Start it, and watch it catch up",
    todo: "Let eight clients call for a while. Then press “start” on the server that is gone.",
    look: "Its role: starting, joining, standby. “Behind by” in the table of the copies, on its way to nothing.",
    question: "When exactly does it count as a copy again?",
    answer: "Not when it has started, and not when it is nearly there. It counts from the view on that names it in sync, and the primary proposes that only when the copy has all that was acknowledged. The change of the view is the moment: “caught up” in the ribbon.",
    checks: [
      {words: "a server was started", met: wasDone("start")},
      {words: "it has caught up", met: changed("joined")},
      {words: "two copies are in sync", met: seen => changed("joined")(seen) && allBack(seen)},
    ],
  },
  {
    title: "Kill both, quickly",
    todo: "Note the balance of account 1. Kill the primary, and the other one at once. Wait a little. Then start both.",
    look: "Who leads afterwards, and that the balance is the same.",
    question: "Must it be the last one that led?",
    answer: "It must be one that was in sync in the last view. Who keeps the view remembers which those are, on disk. If the other server was no longer in sync, it waits for the one that was: it would rather not answer than answer without your withdrawal.",
    needs: twoCopies,
    checks: [
      {words: "both servers were gone at once", met: allGone},
      {words: "somebody leads again", met: seen => wasDone("start")(seen) && leads(seen.model)},
      {words: "two copies are in sync", met: seen => wasDone("start")(seen) && allBack(seen)},
    ],
  },
  {
    title: "Delete a disk",
    todo: "Stop the standby. Delete its disk. Start it.",
    look: "What it is told when it comes back with nothing, and how long it is joining.",
    question: "Why may it not simply say “I am s2, I am in sync”?",
    answer: "Because it is not: what it had is gone. Every disk has an id of its own, the incarnation. A wiped disk has another, so it comes back as a new member: it fetches a copy, catches up, and only then counts. Without that rule a takeover by an empty server would lose everything.",
    needs: twoCopies,
    checks: [
      {words: "a disk was deleted", met: wasDone("wipe")},
      {words: "the server was started", met: wasDone("start")},
      {words: "two copies are in sync", met: seen => wasDone("wipe")(seen) && wasDone("start")(seen) && allBack(seen)},
    ],
  },
  {
    title: "Load, and kill",
    todo: "Let sixteen clients or more call. Kill the primary.",
    look: "The curves: the hole, how deep and how wide; red dashes under them would be calls that failed or are in doubt. The slowest call.",
    question: "Where did the calls go that were under way?",
    answer: "Each client saw its connection break, asked the other server, and sent the same request under the same id. Some had been decided already and got the recorded answer, others were decided then. To a program it is one slow call: as slow as the hole is wide.",
    needs: twoCopies,
    checks: [
      {words: "clients call", met: loaded},
      {words: "the primary was killed", met: doneToPrimary("kill")},
      {words: "calls are done again", met: ({model, since}) => {
        const view = model.viewsSince(since).find(view => view.before && view.before !== view.primary);
        return Boolean(view) && model.rates.some(rate => rate.from_ms > (view.changed_ms ?? view.t) && rate.done > 0);
      }},
    ],
  },
  {
    title: "Read the history",
    todo: "Open “Every change of the view” under the timeline. In a terminal, bankrmi history says the same.",
    look: "One line for each thing you did. Which of them cost time, and which none?",
    question: "Who wrote this down, and why can it be trusted?",
    answer: "Who keeps the view: the witness, or etcd. Each change adds one to the epoch, and goes through only if nobody else made one before it. So there is one line of changes, never two, and no two servers can lead in one epoch.",
    checks: [
      {words: "the table was opened", met: ({own}) => own.historyOpen},
    ],
  },
];
