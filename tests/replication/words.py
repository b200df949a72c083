"""What servers do, in words: each effect is one sentence of a scenario's trace."""

from __future__ import annotations

from dataclasses import dataclass

from bankrmi.replication import effects as do
from bankrmi.replication import messages as say
from bankrmi.replication.view import View


@dataclass(frozen=True, slots=True)
class Caller:
    """Who waits for the answer to a message: a server, as the process that it was."""

    server: str
    start: int


def view_in_words(view: View) -> str:
    """Return `epoch 3 is s1's {s1, s2}`."""
    return f"epoch {view.epoch} is {view.primary}'s {{{', '.join(sorted(view.in_sync))}}}"


def in_words(name: str, effect: do.Effect) -> str:
    """Return an effect as a sentence; reports are for people, and left out."""
    match effect:
        case do.Commit(purpose=purpose):
            return f"{name} commits {purpose}"
        case do.SendMessage(to=to, message=message):
            return f"{name} -> {to}: {message_in_words(message)}"
        case do.Answer(token=Caller(server=server), reply=reply):
            return f"{name} -> {server}: {reply_in_words(reply)}"
        case do.Answer(token=token, reply=reply):
            return f"{name} answers {token}: {reply_in_words(reply)}"
        case do.ReadView():
            return f"{name} reads the view"
        case do.Propose(view=view):
            return f"{name} proposes {view_in_words(view)}"
        case do.Probe(server=server):
            return f"{name} looks at {server}"
        case do.FetchCopy(primary=primary):
            return f"{name} fetches a copy of {primary}"
        case do.InstallCopy(adopted=adopted):
            return f"{name} {'throws the copy away' if adopted is None else 'puts the copy in place'}"
        case do.Reach(servers=servers):
            lives = ", ".join(f"{other} at {address}" for other, address in servers.items())
            return f"{name} goes by {lives or 'nobody else'}"
        case do.Stop():
            return f"{name} stops"
        case do.Leave():
            return f"{name} leaves"
        case do.Report():
            return ""


def message_in_words(message: say.Message) -> str:
    match message:
        case say.Checkpoint(epoch=epoch, previous=previous, records=[]):
            return f"heartbeat in {epoch} after {previous.action_id}"
        case say.Checkpoint(epoch=epoch, records=records):
            return f"checkpoint in {epoch} of {records[0].first_id}-{records[-1].action_id}"
        case say.ViewNews(view=view):
            return f"news: {view_in_words(view)}"
        case say.JoinRequest(tail=tail):
            return f"let me in, I have {[position.action_id for position in tail]}"
        case say.LeaveRequest():
            return "let me go"
        case say.Census():
            return "are you empty?"
        case say.Fence():
            return "be fenced"


def reply_in_words(reply: do.Reply) -> str:
    match reply:
        case say.Acknowledged(epoch=epoch, matched=matched):
            return f"acknowledged in {epoch} up to {matched}"
        case say.Mismatch(epoch=epoch, tip=tip):
            return f"mismatch in {epoch}, my tip is {tip}"
        case say.Superseded(epoch=epoch):
            return f"superseded, I know {epoch}"
        case say.JoinAnswer(outcome=outcome):
            return f"join: {outcome}"
        case say.Holdings():
            return "empty" if reply.empty else f"I hold {reply.tip.action_id} in {reply.epoch}"
        case do.Decided(record=record):
            entries = record.entries()
            return ", ".join(f"{entry.status} {entry.result!r} at {entry.action_id}" for entry in entries)
        case do.Read(value=value, action_id=action_id):
            return f"{value} at {action_id}"
        case do.NotLeading(retired_for=str(there)):
            return f"ask {there}"
        case do.NotLeading(primary=primary, undecided=undecided):
            return f"ask {primary or 'somebody else'}" + ("" if undecided else ", it may have happened")
        case do.IsStale(newest_sequence=newest):
            return f"stale, {newest} was decided"
        case do.IsForgotten():
            return "too old to be known"
        case do.IsBehind(action_id=action_id):
            return f"I only have {action_id}"
        case do.IsBusy():
            return "busy"
        case do.Handed(after=after):
            return f"handed over, {view_in_words(after)}"
        case do.ServersChanged(after=after):
            return f"changed, {view_in_words(after)}"
        case do.NotYet(why=why):
            return f"not yet, {why}"
        case do.Refusal(why=why):
            return f"refused, {why}"
        case None:
            return "noted"
