"""Looks at open positions and tells what is worth knowing; it never trades."""

from db.executions import Execution
from worker.outcome import Outcome, done
from worker.resources import Resources


async def position_monitor(resources: Resources, execution: Execution) -> Outcome:
    """Look at each open position."""
    return done()
