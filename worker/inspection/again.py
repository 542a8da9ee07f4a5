"""Does again what has ended: a new execution that names its parent; its dead letter goes. What has ended stays so."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from db.claims import LedgerRepository
from db.executions import UNFINISHED, Bell
from db.interventions import Act, Again, Family, Held, InterventionRepository, Made
from db.shares import ShareRepository
from worker.bells.actions import Place
from worker.inspection.changing import hold
from worker.inspection.deciding import Not, described, halted
from worker.inspection.reach import Reach
from worker.inspection.results import Command, Ref, Result, Verdict
from worker.inspection.telling import Heard, Next, tell
from worker.messages import QUEUES, TASKS
from worker.outcome import Json

# A subject that only tells runs of one slot apart. Every other one says what the work is about.
_COUNTED = re.compile(r"((again|manual):\d+)?$")
# What plans or sends orders: their intent keys are those of the first time.
_PLACES_ORDERS = frozenset({"buy_orders", "submit", "sell_monitor", "premarket_retry"})
_SAFE = "an intent that has its order keeps it: nothing is placed twice"


@dataclass(slots=True)
class _Done:
    results: dict[int, Result] = field(default_factory=dict)
    made: list[tuple[Held, Made]] = field(default_factory=list)
    rung: list[Bell] = field(default_factory=list)
    subjects: dict[int, str] = field(default_factory=dict)
    spent: dict[int, tuple[Held, int]] = field(default_factory=dict)


def keeps_subject(held: Held) -> bool:
    """Tell whether another run needs the very subject: it says what the work is about, or others look for it by it.

    Such a run has a slot of its own, market now; every other one has its slot, and the subject `again:<n>`.
    """
    return held.user_id is None or _COUNTED.match(held.subject) is None


async def again(reach: Reach, command: Command, refs: Sequence[Ref]) -> dict[int, Result]:
    """Run ended executions again. refs: some hundreds at most. Returns what became of each, by its id."""
    async with reach.database.transaction(None) as session:
        done = await _again(session, reach, command, refs)
        if command.is_dry:
            await session.rollback()
    if not done.made:
        if not command.is_dry:
            await _remove_letters(reach, done, refs)
        return done.results
    if command.is_dry:
        said = "then it is done again by a new execution"
        return done.results | {held.id: Result(str(held.id), Verdict.WOULD, said) for held, _ in done.made}
    await _remove_letters(reach, done, refs)
    rung = {(bell.execution_id, bell.generation) for bell in done.rung}
    letters = {ref.execution_id: ref for ref in refs}
    nexts = [_next(held, made, letters[held.id], rung) for held, made in done.made]
    ours = {one.bell for one in nexts}
    heard = await tell(reach, nexts, [bell for bell in done.rung if bell not in ours])
    told = {
        held.id: _result(held, made, one, heard, done.subjects[held.id])
        for (held, made), one in zip(done.made, nexts, strict=True)
    }
    return done.results | told


async def _again(session: AsyncSession, reach: Reach, command: Command, refs: Sequence[Ref]) -> _Done:
    held, results, busy = await hold(session, command, refs)
    done = _Done(results)
    for ref in busy:
        said = "somebody is changing it at this moment: look at it and try again"
        done.results[ref.execution_id or 0] = Result(ref.id, Verdict.LOST, said)
    seen = {ref.execution_id: ref.generation for ref in refs}
    ended = {}
    for one in held.values():
        if no := _unfit(one, seen[one.id]):
            done.results[one.id] = Result(str(one.id), no.verdict, no.said)
        else:
            ended[one.id] = one
    interventions = InterventionRepository(session)
    families = await interventions.families([(one, keeps_subject(one)) for one in ended.values()]) if ended else {}
    wanted = []
    for id_, family in families.items():
        if family.done_by is not None and seen[id_] is not None:
            # Its letter stayed because Redis did not answer, or the command was cut off: the work is not done twice.
            done.spent[id_] = (ended[id_], family.done_by)
            verdict = Verdict.WOULD if command.is_dry else Verdict.DONE
            done.results[id_] = Result(
                str(id_), verdict, f"done already by execution {family.done_by}: its letter goes"
            )
        elif family.open_id is not None:
            twin = f"execution {family.open_id} does this work already: it is {family.open_status}"
            done.results[id_] = Result(str(id_), Verdict.REFUSED, twin)
        else:
            wanted.append(_wanted(ended[id_], family))
    if wanted:
        await _make(session, reach, command, wanted, done)
    return done


def _unfit(held: Held, generation: int | None) -> Not | None:
    if held.status in UNFINISHED:
        return Not(Verdict.REFUSED, f"it is {described(held)}: only what has ended is done again")
    if generation is not None and generation != held.generation:
        return Not(Verdict.LOST, f"it has gone on since it was seen: it is {described(held)}")
    if held.task_name not in TASKS:
        return Not(Verdict.REFUSED, f"there is no task {held.task_name!r} in this code")
    return halted(held)


def _wanted(held: Held, family: Family) -> Again:
    if keeps_subject(held):
        # A replay's clock stands: then the slot is a little ahead of it, and the clock goes there next.
        now = family.scheduled_for <= held.market_now
        return Again(held, held.subject, family.scheduled_for, is_rung=held.user_id is None and now)
    return Again(held, f"again:{family.number}", held.scheduled_for, is_rung=False)


async def _make(session: AsyncSession, reach: Reach, command: Command, wanted: Sequence[Again], done: _Done) -> None:
    interventions = InterventionRepository(session)
    by_parent = {made.of: made for made in await interventions.again(wanted)}
    for one in wanted:
        if one.of.id in by_parent:
            done.made.append((one.of, by_parent[one.of.id]))
            done.subjects[one.of.id] = one.subject
        else:
            said = "another run of the same work was made just now"
            done.results[one.of.id] = Result(str(one.of.id), Verdict.LOST, said)
    acts = [Act(held.id, held.user_id, {"status": held.status, "again": made.id}) for held, made in done.made]
    await interventions.audit(command.by, command.action, acts)
    users = {held.user_id for held, _ in done.made if held.user_id is not None}
    if users:
        done.rung = await ShareRepository(session, reach.share).ring_next(users, QUEUES)
    shared = [one.of.id for one in wanted if one.is_rung]
    done.rung += [_bell(held, made) for held, made in done.made if held.id in shared and made.status == "queued"]
    await LedgerRepository(session).notify()


async def _remove_letters(reach: Reach, done: _Done, refs: Sequence[Ref]) -> None:
    """Take away the dead letters of what was done again before."""
    letters = {ref.execution_id: ref for ref in refs}
    spent = [(held, Made(held.id, by, held.scheduled_for, held.generation, "")) for held, by in done.spent.values()]
    heard = await tell(reach, [_next(held, made, letters[held.id], set()) for held, made in spent], [])
    for held, made in spent if heard.away is not None else ():
        said = f"done already by execution {made.id}; Redis did not answer ({heard.away}): its dead letter stays"
        done.results[held.id] = Result(str(held.id), Verdict.UNSURE, said)


def _bell(held: Held, made: Made) -> Bell:
    return Bell(held.task_name, held.queue, made.scheduled_for, made.id, made.generation)


def _next(held: Held, made: Made, ref: Ref, rung: set[tuple[int, int]]) -> Next:
    place = Place.READY if (made.id, made.generation) in rung else Place.NOWHERE
    letter = ref.message_id or f"{held.id}.{held.generation}"
    return Next(ref.queue or held.queue, letter, _bell(held, made), place, is_dead=True)


def _result(held: Held, made: Made, next_: Next, heard: Heard, subject: str) -> Result:
    facts: dict[str, Json] = {
        "execution_id": made.id,
        "subject": subject,
        "status": made.status,
        "queue": held.queue,
        "message": next_.place.value,
        "letter_removed": heard.found.get(next_.message_id) is Place.DEAD,
    }
    said = [f"execution {made.id} does it again: {_standing(held, made, next_.place)}"]
    if held.task_name in _PLACES_ORDERS:
        said.append(_SAFE)
    if heard.away is None:
        return Result(str(held.id), Verdict.DONE, "; ".join(said), facts)
    said.append(f"Redis did not answer ({heard.away}): the sweep rings it, its dead letter stays")
    return Result(str(held.id), Verdict.UNSURE, "; ".join(said), facts)


def _standing(held: Held, made: Made, place: Place) -> str:
    if made.status == "waiting":
        return "it waits for its prerequisites first, as the first time"
    if place is Place.READY:
        return f"it is ready in {held.queue}"
    return f"it is queued in {held.queue}, and rung when its turn comes"
