"""Tries again, before the open, the buys there was no money for."""

from db.executions import Execution
from worker.outcome import Outcome, done
from worker.resources import Resources


async def premarket_retry(resources: Resources, execution: Execution) -> Outcome:
    """Plan the failed orders anew."""
    return done()
