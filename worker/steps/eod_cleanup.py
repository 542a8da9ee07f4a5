"""Closes an account's day."""

from db.executions import Execution
from worker.outcome import Outcome, done
from worker.resources import Resources


async def eod_cleanup(resources: Resources, execution: Execution) -> Outcome:
    """Close the day."""
    return done()
