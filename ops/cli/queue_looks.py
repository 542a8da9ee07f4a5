"""The looks of the queue commands: what was asked for, looked at and printed. Nothing here changes anything."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import typer

from db.clock import ClockRepository
from db.healings import HealingRepository
from db.lookups import LookupRepository
from ops.cli import options as o
from ops.cli.queue_options import moment, span
from ops.cli.queue_tables import (
    print_backlog,
    print_entries,
    print_queues,
    print_ready,
    print_view,
    print_why,
    print_workers,
)
from ops.cli.queue_work import inspecting, now, one_ref, wish_of, with_bells
from ops.cli.status import user_named
from ops.cli.tables import print_facts, print_json, print_rows
from trading.calendar import exchange_time
from worker.bells.ringing import Bells
from worker.inspection import listing
from worker.inspection.listing import SORTS, Page
from worker.inspection.queues import QueueState, backlog, queues, ready
from worker.inspection.reach import Reach, Wish
from worker.inspection.results import Edit, Group
from worker.inspection.showing import View, show
from worker.inspection.waits import Explanation, explain, explain_task
from worker.inspection.walking import queue_names
from worker.inspection.workers import Client, WorkerView, held_messages, running, workers
from worker.messages import QUEUES, TASKS

_HEALED = timedelta(hours=1)
_NOBODY = "-"
_MOST_WORDS = 3


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a list or an act, as they were written."""

    actor: str | None
    user: str | None
    queue: str | None
    error: str | None
    older: str | None
    newer: str | None

    def wish(self) -> Wish:
        """Return what is wished for, but for the user. Raises typer.BadParameter."""
        return Wish(
            task=self.actor,
            queue=self.queue,
            error=self.error,
            older_seconds=span("--older", self.older),
            newer_seconds=span("--newer", self.newer),
        )


def look_at_queues(queue: str | None, user: str | None, *, gauges: bool, as_json: bool) -> None:
    """Print how queues stand. gauges: also what is wrong with them, and what was put right in the last hour."""

    async def work(reach: Reach, bells: Bells) -> tuple[list[QueueState], dict[str, Any] | None]:
        wish = await wish_of(reach, Wish(queue=queue), user)
        found = await queues(reach, user_id=wish.user_id, queue=queue)
        return found, await _gauges(reach, bells) if gauges else None

    found, read = with_bells(work)
    if as_json:
        print_json({"queues": [asdict(one) for one in found]} | ({} if read is None else {"gauges": read}))
        return
    print_queues(found)
    if read is not None:
        healed = read.pop("healed")
        print_facts("Gauges: nought and nothing when all is well", read)
        print_rows("Healed in the last hour", healed)


async def _gauges(reach: Reach, bells: Bells) -> dict[str, Any]:
    from scheduler.gauges import gauges

    read = await gauges(reach.database, bells)
    async with reach.database.reading(None) as session:
        healed = await HealingRepository(session).since(now() - _HEALED)
    return {
        "oldest_ready_seconds": dict(read.rows.oldest_ready),
        "oldest_overdue_seconds": read.rows.oldest_overdue,
        "orphans": read.rows.orphans,
        "unsettled": read.unsettled,
        "leaked": read.leaked,
        "leaks": {queue: asdict(one) for queue, one in read.leaks.items()},
        "healed": [{"at": row.at, "kind": row.kind, "count": row.count, "facts": row.facts} for row in healed],
    }


def look_at_queue(name: str, user: str | None, limit: int, before: str | None, after: int, *, as_json: bool) -> None:
    """Print one queue; or one execution or message, when no queue has that name."""

    async def work(reach: Reach) -> Any:
        if name not in await queue_names(reach.redis):
            return await show(reach, await one_ref(reach, name))
        wish = await wish_of(reach, Wish(queue=name), user)
        [state] = await queues(reach, user_id=wish.user_id, queue=name)
        # A message does not say whose it is: of one user only the executions are shown.
        letters = await ready(reach, name, limit, before) if wish.user_id is None else None
        return state, letters, await backlog(reach, wish, limit, after or None)

    found = inspecting(work)
    if not isinstance(found, tuple):
        _print_view(name, found, as_json=as_json)
        return
    state, letters, (rows, next_id) = found
    if as_json:
        messages = {"messages": [asdict(one) for one in letters[0]], "next": letters[1]} if letters else None
        print_json({"queue": asdict(state), "ready": messages, "backlog": {"executions": rows, "next": next_id}})
        return
    print_queues([state])
    if letters is not None:
        print_ready(name, *letters)
    print_backlog(name, rows, next_id)


def look_at_workers(*, as_json: bool) -> None:
    """Print who takes work."""
    found = inspecting(workers)
    if as_json:
        print_json(asdict(found))
    else:
        print_workers(found)


def look_at_worker(name: str, limit: int, *, as_json: bool) -> None:
    """Print what one worker runs and holds. Raises typer.BadParameter when nobody has that name."""

    async def work(reach: Reach) -> Any:
        known = await workers(reach)
        views: list[WorkerView | Client] = [*known.workers, *known.clients]
        view = next((one for one in views if one.name == name), None)
        return view, await running(reach, name, limit), await held_messages(reach, name, limit)

    view, rows, held = inspecting(work)
    if view is None:
        raise typer.BadParameter(f"there is no worker {name!r}: `muhurat workers` lists those there are")
    if as_json:
        print_json({"worker": asdict(view), "running": rows, "held": held})
        return
    columns = ("id", "task_name", "email", "account_id", "subject", "attempt", "running_seconds")
    print_rows(f"Running in {name}", rows, columns=columns)
    print_rows("Messages it holds", [{"queue": queue, "messages": ", ".join(ids)} for queue, ids in held.items()])


def look_at_entries(
    group: Group, filters: Filters, sort: str | None, limit: int, before: str | None, *, as_json: bool
) -> None:
    """Print a page of retries or dead letters. Raises typer.BadParameter."""
    is_dead = group is Group.DEAD
    sorts = SORTS["dead" if is_dead else "waiting"]
    order = o.known_word("--sort", sort, sorts) or sorts[0]
    wish = filters.wish()

    async def work(reach: Reach) -> Page:
        look = listing.dead if is_dead else listing.retries
        return await look(reach, await wish_of(reach, wish, filters.user), sort=order, limit=limit, cursor=before)

    page = inspecting(work)
    if as_json:
        print_json({group.value: [asdict(one) for one in page.entries], "next": page.next, "now": page.now})
    else:
        print_entries("Dead letters" if is_dead else "Retries", page, "died" if is_dead else "due")


def look_at_one(name: str, *, as_json: bool) -> None:
    """Print everything about one execution or message. Raises typer.BadParameter when it is not there."""

    async def work(reach: Reach) -> View | None:
        return await show(reach, await one_ref(reach, name))

    _print_view(name, inspecting(work), as_json=as_json)


def look_at_waits(words: Sequence[str], *, as_json: bool) -> None:
    """Print why something waits. words: an execution's id, or a user, a task and maybe a slot."""
    if len(words) > _MOST_WORDS:
        raise typer.BadParameter("give an execution's id, or a user, a task and maybe a slot (in quotes)")

    async def work(reach: Reach) -> list[Explanation]:
        if len(words) == 1:
            found = await explain(reach, o.whole_number("ID", words[0]))
            if found is None:
                raise typer.BadParameter(f"there is no execution {words[0]}: `muhurat executions list` shows them")
            return [found]
        user, task = words[0], o.known_word("TASK", words[1], TASKS) or ""
        async with reach.database.reading(None) as session:
            user_id = None if user == _NOBODY else await user_named(LookupRepository(session), user)
            today = (await ClockRepository(session).read()).now
        slot = moment("SLOT", words[2], exchange_time(today)) if len(words) == _MOST_WORDS else None
        return await explain_task(reach, task, user_id, slot)

    found = inspecting(work)
    if as_json:
        print_json({"waits": [asdict(one) for one in found]})
    else:
        print_why(found)


def edit_of(due: str | None, in_: str | None, attempts_left: int | None, to_queue: str | None) -> Edit:
    """Return what shall be another. Raises typer.BadParameter when nothing is, or a due time is told twice."""
    if due is not None and in_ is not None:
        raise typer.BadParameter("--due or --in: not both")
    if due is None and in_ is None and attempts_left is None and to_queue is None:
        raise typer.BadParameter("say what shall be another: --due, --in, --attempts-left or --to-queue")
    at: datetime | None = moment("--due", due, exchange_time(now()))
    return Edit(at, span("--in", in_), attempts_left, o.known_word("--to-queue", to_queue, QUEUES))


def _print_view(name: str, view: View | None, *, as_json: bool) -> None:
    if view is None:
        raise typer.BadParameter(f"there is no queue, execution or message {name!r}: the lists show those there are")
    if as_json:
        print_json(asdict(view))
    else:
        print_view(view)
