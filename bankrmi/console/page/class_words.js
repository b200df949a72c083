// The steps of the tour in the words of a class: where nobody has money, or an account.

const WORDS = {
  "Kill the primary": {
    todo: "Call a method that changes the state. Then press “kill -9” on the server that leads.",
    look: "The headline, and the red mark in the timeline: for how many milliseconds was no call answered? Call a method that reads what you changed.",
    question: "Why is the change still there?",
    answer: "An answer leaves the primary only when the record is on every disk in sync. So whoever takes over has every update that anybody was told of. It need not wait either: a dead process refuses connections, and that proves it is gone.",
  },
  "Retry after a lost answer": {
    todo: "Call a method that changes the state, and kill the primary: suppose that the answer had been lost with it. When another server leads, press “Send it again” under the answer.",
    look: "The request id, the action id and the result: in the first answer, and in the second one, which comes from another server.",
    answer: "A program whose answer was lost cannot know whether the change was made. If it asks again under a new id, it may be made twice. Under the same id the servers find the outcome in their journal, and give the same answer: also after a takeover, for the journal is what is replicated.",
  },
  "Stop the standby, and let it catch up": {
    answer: "Not when it has started, and not when it is nearly there. It counts from the view on that names it in sync, and the primary proposes that only when the copy has all that was acknowledged. Until then there is one copy, and the page says so. A service that should rather stand still is told so with copies_min: 2.",
  },
  "Cut the link: who may go on?": {
    todo: "Cut the link between the two servers, both ways. Change something. Heal it. Then cut the primary off from everybody, change something again, and heal that.",
  },
  "Stop both, and start the wrong one first": {
    todo: "Stop the standby. Change something. Stop the primary. Then start the one that was stopped first, and wait a little. Then start the other one.",
    look: "What the first one does while it is alone, and what it says it waits for. The state afterwards.",
    question: "It has a disk with the state on it. Why does it not answer?",
    answer: "It was no longer in sync when the last change was confirmed, so it lacks it. The view, which the witness keeps on disk, names who has everything: only the other server. So it waits for that one: it would rather not answer than answer without your change.",
  },
  "Lose the witness": {
    todo: "Press “Lose its memory” on the witness, twice. Change something. Then kill the primary, and try to change something again. Then press “Restore its memory”.",
    answer: "An empty witness cannot tell a new service from one that it has forgotten, and a view that is made up could name a server that lacks what was confirmed. So nobody believes it. Restoring asks every server what it holds, keeps all of them from answering meanwhile, and proposes the only view that is safe: led by one that acted in the newest epoch.",
  },
};
const CHECKS = {"a withdrawal or deposit was done": "a method that changes the state was called"};

const found = (words, key) => (Object.hasOwn(words, key) ? words[key] : null);

/** What a step says: {title, todo, look, question, answer, checks}. */
export function wordsOf(step, servesClass) {
  const {title, todo, look, question, answer} = step, checks = step.checks.map(check => check.words);
  if (!servesClass) return {title, todo, look, question, answer, checks};
  return {title, todo, look, question, answer, ...found(WORDS, title), checks: checks.map(words => found(CHECKS, words) ?? words)};
}
