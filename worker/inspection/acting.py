"""The front of what people do: which executions and messages are meant, and what became of each."""

import re
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from db.executions import UNFINISHED
from db.inspections import InspectionRepository, Row
from worker.inspection.again import again
from worker.inspection.changing import change
from worker.inspection.listing import entries
from worker.inspection.reach import Reach, Wish
from worker.inspection.results import Action, Command, Group, Ref, Result, Verdict
from worker.inspection.strays import act_on_message

# Executions that one transaction changes: it is over in some tens of ms, and nobody waits for its rows for longer.
CHUNK = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EXECUTION = re.compile(r"(\d{1,18})(?:\.(\d{1,9}))?$")
_FIELDS = 3


class Selection:
    """What was meant when it was looked for: some bytes an execution, so that a million fit. Acting comes later.

    An execution that has gone on since is lost, as it is for who comes too late.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self._executions = array("q")
        self._letters: list[Ref] = []

    def __len__(self) -> int:
        return len(self._executions) // _FIELDS + len(self._letters)

    def add(self, slot: datetime, execution_id: int, generation: int) -> None:
        """Add an execution as it was seen."""
        self._executions.extend(((slot - _EPOCH) // _MICROSECOND, execution_id, generation))

    def add_message(self, ref: Ref) -> None:
        """Add a message of no execution."""
        self._letters.append(ref)

    def chunks(self) -> Iterator[list[Ref]]:
        """Return the executions, some at a time, then the messages."""
        step = CHUNK * _FIELDS
        for start in range(0, len(self._executions), step):
            values = self._executions[start : start + step]
            parts = (values[number : number + _FIELDS] for number in range(0, len(values), _FIELDS))
            yield [Ref(str(id_), _EPOCH + slot * _MICROSECOND, id_, generation) for slot, id_, generation in parts]
        for start in range(0, len(self._letters), CHUNK):
            yield self._letters[start : start + CHUNK]


async def select(reach: Reach, group: Group, wish: Wish) -> Selection:
    """Return all that a wish asks for in a group. Raises RedisError or OSError."""
    selection = Selection(group)
    if group is Group.QUEUES:
        wanted = {name: getattr(wish, name) for name in wish.__slots__}
        async with reach.database.reading(None) as session:
            async for slot, id_, generation in InspectionRepository(session).queued(**wanted):
                selection.add(slot, id_, generation)
        return selection
    async for _, entry in entries(reach, "dead" if group is Group.DEAD else "waiting", wish):
        if entry.execution_id is None or entry.scheduled_for is None:
            selection.add_message(Ref(entry.id, queue=entry.queue, message_id=entry.message_id))
        elif entry.generation is not None and (
            group is Group.DEAD or (entry.status == "retrying" and not entry.is_stale)
        ):
            selection.add(entry.scheduled_for, entry.execution_id, entry.generation)
    return selection


async def resolve(reach: Reach, words: Sequence[str]) -> list[Ref]:
    """Return what people mean by ids: executions, with or without generation, and else messages by their Redis ids."""
    found = [(word, _EXECUTION.match(word)) for word in words]
    ids = [int(match[1]) for _, match in found if match is not None]
    async with reach.database.reading(None) as session:
        rows = await InspectionRepository(session).of_ids(ids) if ids else {}
    return [_ref(word, match, rows.get(int(match[1])) if match else None) for word, match in found]


def _ref(word: str, match: re.Match[str] | None, row: Row | None) -> Ref:
    if match is None or (row is None and match[2] is not None):
        return Ref(word, message_id=word)
    if row is None:
        return Ref(word, execution_id=int(match[1]))
    generation = int(match[2]) if match[2] is not None else None
    return Ref(str(row["id"]), row["scheduled_for"], row["id"], generation, row["queue"])


async def act(reach: Reach, command: Command, refs: Sequence[Ref]) -> list[Result]:
    """Do one thing to some executions and messages, each by itself. Returns what became of each, in their order.

    Raises RedisError or OSError when Redis is away before anything was done to a message alone.
    """
    results: dict[int, Result] = {}
    known = list({ref.execution_id: ref for ref in refs if ref.slot is not None}.values())  # named twice, done once
    for start in range(0, len(known), CHUNK):
        results |= await _act_on_rows(reach, command, known[start : start + CHUNK])
    return [await _of(reach, command, ref, results) for ref in refs]


async def act_on_all(reach: Reach, command: Command, selection: Selection) -> AsyncIterator[list[Result]]:
    """Do one thing to all that was selected, some at a time. Yields what became of each."""
    for refs in selection.chunks():
        yield await act(reach, command, refs)


async def _of(reach: Reach, command: Command, ref: Ref, results: dict[int, Result]) -> Result:
    if ref.execution_id is None:
        return await act_on_message(reach, command, ref)
    if ref.slot is None:
        return Result(ref.id, Verdict.REFUSED, f"there is no execution {ref.execution_id}")
    return results[ref.execution_id]


async def _act_on_rows(reach: Reach, command: Command, refs: Sequence[Ref]) -> dict[int, Result]:
    if command.group is not Group.DEAD:
        return await change(reach, command, refs)
    if command.action in (Action.RUN, Action.REQUEUE):
        return await again(reach, command, refs)
    async with reach.database.reading(None) as session:
        keys = [(ref.slot, ref.execution_id) for ref in refs if ref.slot is not None and ref.execution_id is not None]
        rows = await InspectionRepository(session).of_keys(keys)
    return {
        ref.execution_id: await _end_letter(reach, command, ref, rows.get(ref.execution_id))
        for ref in refs
        if ref.execution_id is not None
    }


async def _end_letter(reach: Reach, command: Command, ref: Ref, row: Row | None) -> Result:
    """Remove the dead letter of an execution; nothing else can be done to what has ended."""
    if row is None or (command.user_id is not None and row["user_id"] != command.user_id):
        return Result(ref.id, Verdict.REFUSED, f"there is no execution {ref.execution_id}")
    if command.action is not Action.DELETE:
        is_open = row["status"] in UNFINISHED
        said = f"it is {row['status']}: see `muhurat queues`" if is_open else "it has ended, and a final state stays"
        return Result(ref.id, Verdict.REFUSED, f"{said}; requeue does it again, delete removes its dead letter")
    message_id = ref.message_id or f"{row['id']}.{ref.generation or row['generation']}"
    letter = Ref(ref.id, ref.slot, ref.execution_id, ref.generation, row["queue"], message_id)
    return await act_on_message(reach, command, letter, row["user_id"])
