"""The deadline of an execution, asked once more in the transaction of its effect: a claim asked it minutes before."""

from datetime import datetime

from db.executions import Execution
from worker.outcome import Outcome, skipped


def late(execution: Execution, now: datetime) -> Outcome | None:
    """Return the end of an execution that is past its use at a moment of market time; None: it is of use."""
    if execution.useful_until is None or now <= execution.useful_until:
        return None
    return skipped(f"late: useful until {execution.useful_until:%Y-%m-%d %H:%M:%S} UTC; it had begun before")
