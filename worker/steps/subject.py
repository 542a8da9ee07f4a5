"""What an execution is about: whose account, which order and which of its attempts."""

from dataclasses import dataclass
from typing import Self

from db.executions import Execution

# The second of the two looks that an order must be missing from before it counts as never placed.
SECOND_LOOK = 2


@dataclass(frozen=True, slots=True)
class OrderSubject:
    """One attempt at an order. look: which look at the broker's book this is, 1 unless said."""

    order_id: int
    attempt: int
    look: int = 1

    @classmethod
    def of(cls, execution: Execution) -> Self:
        """Return the subject of an execution. Raises ValueError when it is not `order:attempt[:look]`."""
        parts = execution.subject.split(":")
        if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
            raise ValueError(f"{execution.task_name}: subject {execution.subject!r} is not order:attempt")
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return f"{self.order_id}:{self.attempt}" + (f":{self.look}" if self.look > 1 else "")


def owner(execution: Execution) -> tuple[int, int]:
    """Return the user and the account an execution works for. Raises ValueError when it is a shared one."""
    if execution.user_id is None or execution.account_id is None:
        raise ValueError(f"{execution.task_name}: execution {execution.id} has no account")
    return execution.user_id, execution.account_id
