"""A worker process whose task `prices` kills it when its subject says so. Run by the quarantine test alone."""

import os
import signal

from db.executions import Execution
from worker import actors, child
from worker.outcome import Outcome, done
from worker.resources import Resources


async def _step(_: Resources, execution: Execution) -> Outcome:
    if execution.subject == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    return done()


if __name__ == "__main__":
    actors.STEPS["prices"] = _step
    raise SystemExit(child.main())
