"""What can be done to executions and their messages, and how each of them came out of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from worker.outcome import Json


class Group(StrEnum):
    """What an operator looks at: what is queued, what waits for its next attempt, what has ended without success."""

    QUEUES = "queues"
    RETRIES = "retries"
    DEAD = "dead"


class Action(StrEnum):
    """What can be done."""

    RUN = "run"
    DELETE = "delete"
    KILL = "kill"
    REQUEUE = "requeue"
    EDIT = "edit"


class Verdict(StrEnum):
    """How one came out. LOST: somebody else was faster. UNSURE: the row is right, and Redis did not answer.

    WOULD: nothing was done, because it was only asked what would be.
    """

    DONE = "done"
    WOULD = "would"
    LOST = "lost"
    REFUSED = "refused"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Edit:
    """What shall be another; None stays. due: machine time; in_seconds: from now, on the servers' clocks.

    attempts_left: further attempts that it may have, within what its task allows.
    """

    due: datetime | None = None
    in_seconds: float | None = None
    attempts_left: int | None = None
    queue: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What shall be done, and by whom. user_id: whose executions may be meant, None for everybody's.

    is_dry: it is decided, and nothing is changed.
    """

    group: Group
    action: Action
    by: str
    edit: Edit = field(default_factory=Edit)
    user_id: int | None = None
    is_dry: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one. id: of its execution, else of its message. said: for people. facts: for programs."""

    id: str
    verdict: Verdict
    said: str
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ref:
    """One execution or message that is meant.

    slot, execution_id: of an execution; generation: under which it was seen, None for any. queue, message_id: where
    its message was seen; of a message without execution they are all there is.
    """

    id: str
    slot: datetime | None = None
    execution_id: int | None = None
    generation: int | None = None
    queue: str | None = None
    message_id: str | None = None


def counted(results: Sequence[Result]) -> dict[str, int]:
    """Return how many came out how."""
    return {verdict.value: sum(one.verdict is verdict for one in results) for verdict in Verdict}
